"""Write src/osteon/evidence/quotes.yaml: where every quotation key in src/osteon stands in its paper, with digests.

    scripts/index_quotes.py [--check] [FOLDER]

FOLDER holds the papers; default: $OSTEON_SHARED/seeds, else ../shared/seeds. --check writes nothing and fails where the stored
index differs. Exit status: 0 done, 1 differs or a quotation does not stand in its paper, 3 the papers are not there.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from osteon.errors import OsteonError
from osteon.evidence.quotes import dump, keys_in_tree, read_seeds

ROOT = Path(__file__).resolve().parents[1]
TREE = ROOT / "src" / "osteon"
INDEX = TREE / "evidence" / "quotes.yaml"


def main(arguments: list[str]) -> int:
    named = [a for a in arguments if a != "--check"]
    shared = os.environ.get("OSTEON_SHARED")
    folder = Path(named[0]) if named else (Path(shared) if shared else ROOT.parent / "shared") / "seeds"
    try:
        text = dump(keys_in_tree(TREE), read_seeds(folder))
    except OsteonError as error:
        print(error, file=sys.stderr)
        return 3 if "There is no seed" in error.what else 1
    if "--check" in arguments:
        same = INDEX.exists() and INDEX.read_text(encoding="utf-8") == text
        print("the index is up to date" if same else "the index differs: run scripts/index_quotes.py")
        return 0 if same else 1
    INDEX.write_text(text, encoding="utf-8")
    print(f"{text.count('- seed:')} quotations indexed")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
