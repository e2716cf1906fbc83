"""`python -m docgen [FOLDER]`: writes the generated references, by default into docs/reference."""

import sys
from pathlib import Path

from docgen.pages import write_pages

REFERENCE = Path(__file__).parents[1] / "docs" / "reference"

write_pages(Path(sys.argv[1]) if len(sys.argv) > 1 else REFERENCE)
