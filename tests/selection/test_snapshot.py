"""The rule base as one file: its version, what changed, and judging by a former one."""

from __future__ import annotations

import gzip
import json

import pytest

from osteon.errors import InputError
from osteon.facts import Known, vocabulary
from osteon.selection.judging import book, judge, status_of
from osteon.selection.policies import Site
from osteon.selection.snapshot import (
    LIMITS,
    REGISTER,
    Change,
    Snapshot,
    books,
    difference,
    facts_changed,
    installed,
    load,
    rows_of,
    site_of,
    write,
)
from osteon.treatments.catalog import entries, treatment

MICROWAVE = "treatments/microwave/rules.yaml"


def changed(path, old, new):
    files = dict(installed().files)
    assert old in files[path]
    return Snapshot({**files, path: files[path].replace(old, new, 1)})


@pytest.mark.parametrize("name", ["base.json", "base.json.gz"])
def test_it_comes_back_as_it_was_and_the_same_base_gives_the_same_bytes(tmp_path, name):
    write(installed(), tmp_path / name)
    first = (tmp_path / name).read_bytes()
    assert load(tmp_path / name) == installed()
    write(load(tmp_path / name), tmp_path / name)
    assert (tmp_path / name).read_bytes() == first


def test_the_version_follows_every_text_but_not_its_line_ends():
    base = installed()
    assert changed(MICROWAVE, "size_max_mm > 35", "size_max_mm > 36").digest != base.digest
    assert changed(REGISTER, "misprint", "slip").digest != base.digest
    assert Snapshot({path: text.replace("\n", "\r\n") for path, text in base.files.items()}).digest == base.digest


@pytest.mark.parametrize("spoil", ["missing", "text", "cut", "schema", "changed"])
def test_a_damaged_file_is_refused(tmp_path, spoil):
    path = tmp_path / "base.json.gz"
    write(installed(), path)
    data = path.read_bytes()
    tree = json.loads(gzip.decompress(data))
    if spoil == "missing":
        path.unlink()
    elif spoil == "text":
        path.write_text("words")
    elif spoil == "cut":
        path.write_bytes(data[:200])
    elif spoil == "schema":
        path.write_text(json.dumps({**tree, "schema": "other/1"}))
    else:
        tree["files"][MICROWAVE] = tree["files"][MICROWAVE].replace("35", "36")
        path.write_text(json.dumps(tree))
    with pytest.raises(InputError) as caught:
        load(path)
    assert caught.value.why
    assert caught.value.do


@pytest.mark.parametrize("site", [Site(), Site.with_choices({"mirels_fix_from": 8})])
def test_the_installed_base_read_back_judges_by_the_very_same_rules(site):
    by_row = books(installed(), site)
    assert list(by_row) == list(entries())
    for name, found in by_row.items():
        expected = book(treatment(name), site).rules
        assert {(r.id, r.kind, r.when, r.then) for r in found.rules} == {(r.id, r.kind, r.when, r.then) for r in expected}


def test_a_former_rule_and_a_former_limit_give_the_former_status():
    states = {"size_max_mm": Known(35.5), "distance_critical_mm": Known(9.0)}

    def out(base, rule):
        found = next(r for r in books(base)["microwave"].rules if r.id == rule)
        return judge(found, states, "strict").truth

    assert out(installed(), "MWA-08") == "true"
    assert out(changed(MICROWAVE, "size_max_mm > 35", "size_max_mm > 36"), "MWA-08") == "false"
    assert out(installed(), "ABL-05") == "true"
    at = installed().files[LIMITS].index("nerve-stand-off")
    limit = installed().files[LIMITS][at:].split("limit: ", 1)[1].split("\n", 1)[0]
    texts = dict(installed().files)
    texts[LIMITS] = texts[LIMITS][:at] + texts[LIMITS][at:].replace(f"limit: {limit}", "limit: 5", 1)
    assert out(Snapshot(texts), "ABL-05") == "false"
    assert status_of(judge(r, states, "strict") for r in books(Snapshot(texts))["microwave"].rules) == "needs"


def test_a_base_that_lacks_what_it_names_is_refused():
    files = {path: text for path, text in installed().files.items() if path != "selection/guidelines/needle.yaml"}
    with pytest.raises(InputError, match=r"needle\.yaml, which the rule base lacks"):
        rows_of(Snapshot(files))
    with pytest.raises(InputError, match="which the rule base lacks"):
        rows_of(changed(LIMITS, "nerve-stand-off", "another-stand-off"))


def test_the_difference_names_what_was_added_removed_and_changed():
    base = installed()
    assert difference(base, base) == ()
    after = changed(MICROWAVE, "when: size_max_mm > 35", "when: size_max_mm > 36")
    assert difference(base, after) == (
        Change(MICROWAVE, "MWA-08", "changed", (("when", "size_max_mm > 35", "size_max_mm > 36"),)),
    )
    renamed = changed(MICROWAVE, "id: MWA-08\n", "id: MWA-88\n")
    assert {(c.entry, c.what) for c in difference(base, renamed)} >= {("MWA-08", "removed"), ("MWA-88", "added")}
    assert [(c.entry, c.what) for c in difference(base, changed(REGISTER, "misprint of 18", "slip"))] == [("X05", "changed")]
    files = {path: text for path, text in base.files.items() if path != MICROWAVE}
    assert all(c.what == "removed" for c in difference(base, Snapshot(files)))


def test_facts_that_are_asked_in_another_form_are_named():
    assert facts_changed(installed()) == ()
    domain = "domain: [0, 5], scope: patient, valid_days: 30"
    assert facts_changed(changed("facts.yaml", domain, domain.replace("5", "4"))) == ("ecog",)
    assert "ecog" in vocabulary()


def test_a_site_is_made_from_a_decision_as_it_stands_there():
    assert site_of(None) == Site()
    assert site_of({"mirels_fix_from": 8}).of("mirels_fix_from") == 8
