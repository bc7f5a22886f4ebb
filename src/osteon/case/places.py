"""Where an outline that was drawn on one study lands on the image that carries all outlines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from osteon.case.align import Alignment, points_of
from osteon.case.model import Study
from osteon.errors import CaseFileError, ImageError
from osteon.io.dicom_objects import ImageUids, image_uids
from osteon.space.volume import Volume


@dataclass(frozen=True, eq=False)
class Places:
    """The studies of a case and how they lie to one another.

    Parameters
    ----------
    folder : Path
        Files are relative to it.
    studies : tuple of Study
        As read.
    reference : Study or None
        Its grid carries every outline.
    files : mapping of str to (Path, str or None)
        Study id to its file or folder and the series asked for.
    alignments : mapping of str to Alignment
        Of the other studies, by id.
    """

    folder: Path
    studies: tuple[Study, ...]
    reference: Study | None
    files: Mapping[str, tuple[Path, str | None]] = field(default_factory=dict)
    alignments: Mapping[str, Alignment] = field(default_factory=dict)

    def drawn_on(self, study_id: str | None, where: str) -> Study:
        """Return the study that an outline was drawn on; the reference where the case file names none.

        Raises
        ------
        CaseFileError
            If there is no image at all, or none of that id.
        """
        found = self.reference if study_id is None else next((s for s in self.studies if s.id == study_id), None)
        if found is None:
            raise CaseFileError(
                f"{where}: there are outlines but no image to lay them on.",
                "Outlines need the image they were drawn on.",
                "Add the CT, or the MR they were drawn on, under `studies`.",
            )
        return found

    def uids(self, study: Study) -> ImageUids | None:
        """Return the UIDs by which DICOM objects refer to a study; None where it is no DICOM series."""
        path, series = self.files.get(study.id, (None, None))
        if path is None or (path.is_file() and path.name.endswith((".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd"))):
            return None
        return image_uids(path if path.is_dir() else path.parent, series)

    def carry(self, mask: Volume, study: Study) -> tuple[Volume, float]:
        """Return an outline of a study on the grid of the reference, and the error of carrying it, at that outline [mm].

        Raises
        ------
        ImageError
            If the study could not be aligned.
        """
        if study is self.reference:
            return mask, 0.0
        alignment = self.alignments.get(study.id)
        if alignment is None or self.reference is None:
            raise ImageError(
                f"Study {study.id} is aligned to nothing: there is no planning CT.",
                "What is drawn on it cannot be laid over another image.",
                f"Add the CT of the region, or draw on {self.reference.id if self.reference else study.id}.",
            )
        carried = alignment.carry(mask, self.reference.volume.grid)
        return carried, alignment.error_at(points_of(carried))
