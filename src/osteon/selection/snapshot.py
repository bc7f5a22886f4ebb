"""The rule base as one file: its version, what changed between two, and the rows of a former one to judge by again.

The version is the digest of the texts of all rules, guidelines, site policies, the decision register, the limits of tissue and
the vocabulary of facts. A snapshot holds those texts, so that a decision can be judged again by the rules it was made by.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property
from importlib import resources
from pathlib import Path
from typing import Any

from osteon import __version__
from osteon.cache import write_atomically
from osteon.data_files import parse_data
from osteon.errors import InputError
from osteon.selection.judging import RuleBook, refusal
from osteon.selection.policies import DEFAULT, Site
from osteon.selection.rules import EVERYWHERE, Rule, conflicts, read_rules
from osteon.treatments.catalog import entries, treatment

SCHEMA = "osteon-rules/1"
FACTS, POLICIES, LIMITS, REGISTER = "facts.yaml", "selection/policies.yaml", "tissue/tolerance.yaml", "evidence/conflicts.yaml"
GUIDELINES, TREATMENTS = "selection/guidelines/", "treatments/"
CALL = re.compile(r"\b(limit|policy)\(\s*['\"]([^'\"]+)['\"]\s*\)")
WHY = "Whether a decision followed the rules of its time cannot be told without them."


@dataclass(frozen=True)
class Snapshot:
    """A rule base.

    Parameters
    ----------
    files : mapping of str to str
        Path inside osteon to text.
    osteon : str
        Version of the program it was taken from.
    """

    files: Mapping[str, str]
    osteon: str = __version__

    @cached_property
    def digest(self) -> str:
        """The version of the rule base: sha256 of the paths and texts."""
        sha = hashlib.sha256()
        for path in sorted(self.files):
            text = self.files[path].replace("\r\n", "\n")
            sha.update(f"{path}\0{len(text)}\0{text}".encode())
        return sha.hexdigest()

    def tree(self, path: str) -> Any:
        """Return one of its files, parsed; an absent or empty one is an empty mapping."""
        return _parsed(self.files.get(path, "")) or {}

    def row(self, name: str) -> Mapping[str, Any]:
        """Return the ``rules.yaml`` of a treatment, parsed; a bare list of rules becomes ``{"rules": [...]}``."""
        found = self.tree(f"{TREATMENTS}{name}/rules.yaml")
        return found if isinstance(found, dict) else {"rules": found}

    @property
    def treatments(self) -> tuple[str, ...]:
        """Names of the treatments that have rules in it."""
        return tuple(path.split("/")[1] for path in self.files if path.startswith(TREATMENTS))


@cache
def _parsed(text: str) -> Any:
    return parse_data(text)


@cache
def installed() -> Snapshot:
    """Return the rule base that is installed."""
    root = resources.files("osteon")
    files = {path: root.joinpath(path).read_text(encoding="utf-8") for path in (FACTS, POLICIES, LIMITS, REGISTER)}
    for file in sorted(root.joinpath(GUIDELINES).iterdir(), key=lambda f: f.name):
        if file.name.endswith(".yaml"):
            files[f"{GUIDELINES}{file.name}"] = file.read_text(encoding="utf-8")
    for name, entry in entries().items():
        path = f"{TREATMENTS}{name}/rules.yaml"
        if entry.outside:  # a treatment of another package may bring its rules in code
            files[path] = json.dumps(list(treatment(name).rules), ensure_ascii=False, sort_keys=True, default=str)
        else:
            files[path] = root.joinpath(path).read_text(encoding="utf-8")
    return Snapshot(files)


def write(snapshot: Snapshot, path: Path) -> None:
    """Write a snapshot: JSON, compressed where the name ends in ``.gz``; the same rule base gives the same bytes.

    Raises
    ------
    OsteonError
        If it cannot be written.
    """
    tree = {"schema": SCHEMA, "digest": snapshot.digest, "osteon": snapshot.osteon, "files": dict(sorted(snapshot.files.items()))}
    data = (json.dumps(tree, ensure_ascii=False, indent=1) + "\n").encode("utf-8")
    write_atomically(path, gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)


def load(path: Path) -> Snapshot:
    """Read a snapshot.

    Raises
    ------
    InputError
        If there is none, it is damaged, or its digest is not that of its texts.
    """
    try:
        data = path.read_bytes()
        tree = json.loads(gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data)
    except (OSError, EOFError, ValueError) as error:
        raise InputError(
            f"The rule base {path} cannot be read ({' '.join(str(error).split())[:120]}).",
            WHY,
            "Name a file that `osteon rules snapshot FILE` wrote.",
        ) from error
    files = tree.get("files") if isinstance(tree, dict) else None
    if not isinstance(files, dict) or tree.get("schema") != SCHEMA or not all(isinstance(t, str) for t in files.values()):
        raise InputError(
            f"{path} is no rule base of the form {SCHEMA}.", WHY, "Name a file that `osteon rules snapshot FILE` wrote."
        )
    found = Snapshot(files, str(tree.get("osteon", "")))
    if found.digest != tree.get("digest"):
        raise InputError(
            f"The rule base {path} says {str(tree.get('digest'))[:12]}, its texts give {found.digest[:12]}: it was changed.",
            WHY,
            "Take the file from where it was written, unchanged.",
        )
    return found


def rows_of(snapshot: Snapshot, site: Site = DEFAULT) -> dict[str, tuple[Mapping[str, Any], ...]]:
    """Return the raw rules of every treatment of a snapshot, those of scope first, includes written out.

    Parameters
    ----------
    snapshot : Snapshot
        The rule base.
    site : Site
        The site's policies.

    Returns
    -------
    dict of str to tuple of mapping
        For ``rules.read_rules``. ``limit('id')`` and ``policy('id')`` are replaced by the numbers of the snapshot and the
        choices of the site, so that nothing of the installed files is read but the vocabulary.

    Raises
    ------
    InputError
        If a rule includes, or names, what the snapshot lacks.
    """
    literals = _literals(snapshot, site)
    shared = _expanded(snapshot, [{"include": EVERYWHERE}], EVERYWHERE)
    found = {}
    for name in snapshot.treatments:
        listed = (*shared, *_expanded(snapshot, snapshot.row(name).get("rules", ()), f"{name}/rules.yaml"))
        found[name] = tuple(_resolved(entry, literals, name) for entry in listed)
    return found


def books(snapshot: Snapshot, site: Site = DEFAULT) -> dict[str, RuleBook]:
    """Return the rule book of every treatment of a snapshot, as ``judging.book`` does for what is installed.

    Raises
    ------
    InputError
        If the snapshot names facts that this version of osteon does not know.
    """
    found = {}
    for name, listed in rows_of(snapshot, site).items():
        rules: tuple[Rule, ...] = read_rules(listed, f"{name}/rules.yaml", site)
        refused = str(snapshot.row(name).get("refused_as", ""))
        found[name] = RuleBook.of((*((refusal(refused),) if refused else ()), *rules))
    return found


def facts_changed(snapshot: Snapshot, against: Snapshot | None = None) -> tuple[str, ...]:
    """Return the facts whose type or domain is another than in the installed vocabulary: rules on them may read differently."""
    before, after = snapshot.tree(FACTS), (against or installed()).tree(FACTS)
    return tuple(n for n, e in before.items() if _form(e) != _form(after.get(n, {})))


def _form(entry: Mapping[str, Any]) -> list[Any]:
    return [entry.get(k) for k in ("type", "domain", "unit")]


def _literals(snapshot: Snapshot, site: Site) -> dict[tuple[str, str], Any]:
    chosen = dict(site.chosen)
    found: dict[tuple[str, str], Any] = {("limit", k): float(e["limit"]) for k, e in snapshot.tree(LIMITS).items()}
    found |= {("policy", k): chosen.get(k, e["choices"][0]) for k, e in snapshot.tree(POLICIES).items()}
    return found


def _expanded(snapshot: Snapshot, listed: Any, where: str) -> tuple[Mapping[str, Any], ...]:
    found: list[Mapping[str, Any]] = []
    for entry in listed:
        if set(entry) != {"include"}:
            found.append(entry)
            continue
        path = f"{GUIDELINES}{entry['include']}.yaml"
        if path not in snapshot.files:
            raise InputError(f"{where} includes {path}, which the rule base lacks.", WHY, "Use a snapshot that is whole.")
        found += _expanded(snapshot, snapshot.tree(path), path)
    return tuple(found)


def _resolved(entry: Mapping[str, Any], literals: Mapping[tuple[str, str], Any], name: str) -> Mapping[str, Any]:
    def literal(call: re.Match[str]) -> str:
        key = (call[1], call[2])
        if key not in literals:
            raise InputError(
                f"{name}: rule {entry.get('id')} reads {call[0]}, which the rule base lacks.",
                WHY,
                "Use a snapshot that is whole.",
            )
        return repr(literals[key])

    def words(when: Any) -> Any:
        return CALL.sub(literal, when) if isinstance(when, str) else when

    made = {**entry, "when": words(entry.get("when"))}
    if "mitigations" in entry:
        made["mitigations"] = [{**m, "when": words(m["when"])} for m in entry["mitigations"]]
    if "conflicts" in entry:
        made["conflicts"] = [c for c in entry["conflicts"] if c in conflicts()]
    return made


@dataclass(frozen=True)
class Change:
    """One entry that differs between two rule bases.

    Parameters
    ----------
    file, entry : str
        Where it stands; its id, with its section where it is no rule.
    what : {"added", "removed", "changed"}
        From the first to the second.
    fields : tuple of (str, before, after)
        What differs, for ``changed``.
    """

    file: str
    entry: str
    what: str
    fields: tuple[tuple[str, Any, Any], ...] = ()


def difference(first: Snapshot, second: Snapshot) -> tuple[Change, ...]:
    """Return every rule, parameter, policy, conflict, limit and fact that differs between two rule bases."""
    found: list[Change] = []
    for file in sorted({*first.files, *second.files}):
        if first.files.get(file) == second.files.get(file):
            continue
        before, after = dict(_entries(first.tree(file))), dict(_entries(second.tree(file)))
        for entry in dict.fromkeys([*before, *after]):
            if entry not in before or entry not in after:
                found.append(Change(file, entry, "added" if entry in after else "removed"))
            elif before[entry] != after[entry]:
                old, new = _named(before[entry]), _named(after[entry])
                keys = [k for k in dict.fromkeys([*old, *new]) if old.get(k) != new.get(k)]
                found.append(Change(file, entry, "changed", tuple((k, old.get(k), new.get(k)) for k in keys)))
    return tuple(found)


def _named(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {"value": value}


def _entries(tree: Any, section: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the entries of a parsed file with what they are called, rules by their id."""
    if isinstance(tree, list):
        for number, entry in enumerate(tree, 1):
            told = entry if isinstance(entry, dict) else {"entry": entry}
            own = f"include {told['include']}" if set(told) == {"include"} else str(told.get("id", number))
            yield f"{section}{own}", entry
        return
    for key, value in tree.items():
        if key == "rules" and isinstance(value, list):
            yield from _entries(value)
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            yield from _entries(value, f"{key}/")
        else:
            yield str(key), value


def keep(folder: Path, snapshot: Snapshot | None = None) -> str:
    """Write a rule base into a case folder, once per digest, and return the file's path relative to it.

    Raises
    ------
    OsteonError
        If it cannot be written.
    """
    from osteon.case.decisions import FOLDER

    kept = snapshot or installed()
    name = f"{FOLDER}/rules-{kept.digest[:12]}.json.gz"
    if not (folder / name).exists():
        write(kept, folder / name)
    return name


def site_of(chosen: Mapping[str, Any] | None) -> Site:
    """Return a site with the choices of a decision; what is no policy any more is kept as it was."""
    return replace(DEFAULT, chosen=tuple(sorted((chosen or {}).items())))
