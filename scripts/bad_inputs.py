"""Write docs/bad-inputs.md: every kind of bad input of the tests' table with the message that osteon gives.

python scripts/bad_inputs.py          write it
python scripts/bad_inputs.py --check  exit 1 if it is not what osteon says now
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "bad-inputs.md"
sys.path.insert(0, str(ROOT / "tests" / "robustness"))


def main() -> int:
    from bad_input_table import as_page

    page = as_page()
    if "--check" in sys.argv:
        good = PAGE.is_file() and PAGE.read_text(encoding="utf-8") == page
        print("docs/bad-inputs.md is up to date" if good else "docs/bad-inputs.md is out of date: run scripts/bad_inputs.py")
        return 0 if good else 1
    PAGE.write_text(page, encoding="utf-8")
    print(f"wrote {PAGE.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
