"""Every quotation stands in its paper, and in the index that is held without the papers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import osteon
from osteon.errors import MissingError
from osteon.evidence import quotes
from osteon.evidence.quotes import digest, dump, faults, index, keys_in_tree, locate, normalise, read_seeds

TREE = Path(osteon.__file__).parent
SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "index_quotes.py"


def test_white_space_is_all_that_normalising_forgives():
    assert normalise(" a\n\t b  c\u00a0d ") == "a b c d"
    assert normalise("A-b ‘c’") == "A-b ‘c’"


def test_digest_is_sha256_of_fips_180_abc():
    assert digest("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_every_quotation_of_the_tree_is_in_the_index_without_the_papers():
    keys = keys_in_tree(TREE)
    assert len(keys) > 50
    assert faults(keys) == []


def test_the_index_holds_nothing_that_is_not_quoted():
    assert set(index().quotes) == set(keys_in_tree(TREE))


@pytest.mark.real
def test_every_quotation_of_the_tree_stands_in_its_paper_at_the_stored_place(seeds):
    assert faults(keys_in_tree(TREE), read_seeds(seeds)) == []


@pytest.mark.real
def test_a_changed_paper_is_seen(seeds):
    texts = read_seeds(seeds)
    keys = [k for k in keys_in_tree(TREE) if k[0] == "004"]
    changed = {**texts, "004": "x " + texts["004"]}
    found = faults(keys, changed)
    assert "the text of seed 004 is not the one that was indexed" in found
    assert len(found) == 1 + len(keys)


@pytest.mark.real
def test_the_script_agrees_with_the_stored_index(seeds):
    done = subprocess.run([sys.executable, SCRIPT, "--check", seeds], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, "the index is up to date"), done.stderr


def test_a_misquotation_is_named(monkeypatch):
    texts = {"001": "alpha beta gamma"}
    assert locate("001", "beta gamma", texts) is not None
    assert locate("001", "Beta", texts) is None
    assert locate("002", "beta", texts) is None
    with pytest.raises(MissingError, match="Beta"):
        dump([("001", "beta"), ("001", "Beta")], texts)
    stored = quotes.Index({"001": digest("alpha beta gamma")}, {("001", "beta"): locate("001", "beta", texts)})
    monkeypatch.setattr(quotes, "index", lambda: stored)
    assert faults([("001", "beta")], texts) == []
    assert faults([("001", "beta")], {"001": "alpha  beta"})
    assert "not in the index" in faults([("001", "gamma")])[0]


def test_a_tampered_index_is_seen_without_the_papers(monkeypatch):
    quote = locate("001", "beta", {"001": "alpha beta"})
    wrong = quotes.Quote(quote.seed, quote.words, quote.offset, digest("Beta"), quote.context_sha256)
    monkeypatch.setattr(quotes, "index", lambda: quotes.Index({}, {("001", "beta"): wrong}))
    assert "does not match its stored digest" in faults([("001", "beta")])[0]


def test_a_quotation_that_is_opened_wrongly_is_refused_with_its_line(tmp_path):
    (tmp_path / "a.yaml").write_text("ok: 1\nbad: '[001«no blank»]'\n", encoding="utf-8")
    with pytest.raises(MissingError, match=r"a\.yaml:2"):
        keys_in_tree(tmp_path)


def test_a_folder_without_papers_is_named(tmp_path):
    with pytest.raises(MissingError, match="seed-N"):
        read_seeds(tmp_path)
