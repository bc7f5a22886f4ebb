"""Whatever is cited, exactly its papers come out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import yaml

import osteon
from osteon.errors import MissingError
from osteon.evidence.source import bibtex, cite, papers, quote_keys, source_ids, text
from osteon.evidence.value import Band, Fixed, Value
from osteon.planning.plan import Finding
from osteon.selection.verdicts import Reason

TREE = Path(osteon.__file__).parent
SEEDS = {"000": "mrgfus-pilot-appraisal", "001": "li-2022", "002": "ahmed-2019", "003": "lo-bianco-2022", "004": "qiu-2019"}


def value(source: str) -> Value:
    return Value(1.0, "1", Fixed(), source)


def test_the_five_papers_are_there_each_under_its_digits():
    assert {p.seed: p.id for p in papers().values() if p.seed} == SEEDS


def test_cite_gives_exactly_the_papers_behind_a_value_a_finding_and_a_reason_in_order_of_id():
    finding = Finding("l", "s", Band.of(1), "mm", 2.0, "ok", "text", source="[003 «at least 1 cm away»]")
    reason = Reason("r", "caution", "true", "words", quotes=("[004 «x y»]", "ahmed-2019"))
    assert [p.id for p in cite({"a": [value("li-2022")]}, finding, (reason,))] == [
        "ahmed-2019",
        "li-2022",
        "lo-bianco-2022",
        "qiu-2019",
    ]
    assert [p.id for p in cite(reason)] == ["ahmed-2019", "qiu-2019"]
    assert cite() == cite(3, None, "words", np.zeros(3), Band.of(2)) == []


def test_cite_finds_a_quotation_in_any_text_and_a_paper_by_its_own_id():
    assert [p.id for p in cite({"note": "as printed [001 «some words»]."})] == ["li-2022"]
    assert [p.id for p in cite("qiu-2019")] == ["qiu-2019"]
    assert [p.id for p in cite({"source": "qiu-2019; [002 «a»]", "also": ["li-2022"]})] == ["ahmed-2019", "li-2022", "qiu-2019"]


def test_cite_survives_a_circle():
    ring: list[object] = [value("qiu-2019")]
    table: dict[str, object] = {"ring": ring}
    table["self"] = table
    assert [p.id for p in cite(table)] == ["qiu-2019"]


@pytest.mark.parametrize("thing", [value("no-such-paper"), {"source": "no-such-paper"}, value(""), "[999 «words»]"])
def test_an_unknown_source_is_named(thing):
    with pytest.raises(MissingError) as caught:
        cite(thing)
    assert any(name in caught.value.what for name in ("no-such-paper", "(none", "seed 999"))
    assert caught.value.why
    assert caught.value.do


def test_a_dataclass_field_called_source_counts_and_one_called_otherwise_does_not():
    @dataclass
    class Thing:
        source: str = "li-2022"
        title: str = "no-such-paper"

    assert [p.id for p in cite(Thing())] == ["li-2022"]


def test_quote_keys_and_source_ids_are_told_apart():
    line = "a-1, [001 «two\n words»]; b-2"
    assert quote_keys(line) == [("001", "two words")]
    assert source_ids(line) == ["a-1", "b-2"]


def test_every_paper_has_a_line_and_a_bibtex_entry_that_says_how_far_it_was_checked():
    for paper in papers().values():
        line = text(paper)
        assert paper.title.rstrip(".") in line
        assert ("[" in line) == (paper.status != "read") or "[" in paper.title
    entries = bibtex(papers().values())
    assert entries.count("@") == len(papers())
    assert entries.count("{") == entries.count("}")
    assert " and " in bibtex([papers()["qiu-2019"]])


def sources_in(tree: object) -> list[str]:
    if isinstance(tree, dict):
        own = [tree[k] for k in ("source", "sources", "also", "quotes") if k in tree]
        names = [s for o in own for s in (o if isinstance(o, list) else [o]) if isinstance(s, str)]
        return names + [s for v in tree.values() for s in sources_in(v)]
    return [s for v in tree for s in sources_in(v)] if isinstance(tree, list) else []


def test_every_source_named_in_the_tree_has_a_paper():
    lost: dict[str, str] = {}
    for path in sorted(TREE.rglob("*.yaml")):
        if "papers" in path.parts or path.name == "quotes.yaml":
            continue
        for source in sources_in(yaml.safe_load(path.read_text(encoding="utf-8"))):
            for name in source_ids(source):
                if name not in papers():
                    lost[name] = path.name
    assert lost == {}


def test_every_seed_quoted_in_the_tree_has_a_paper():
    from osteon.evidence.quotes import keys_in_tree

    assert {seed for seed, _ in keys_in_tree(TREE)} <= set(SEEDS)
