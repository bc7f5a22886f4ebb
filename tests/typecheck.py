"""The type checker that the import hook of conftest puts on functions whose shapes are types: beartype, with int for float."""

from __future__ import annotations

from beartype import BeartypeConf, beartype

check = beartype(conf=BeartypeConf(is_pep484_tower=True))
