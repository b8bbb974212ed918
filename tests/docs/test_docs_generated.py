"""The pages that are made from the code are in step with it."""

from __future__ import annotations

from pathlib import Path

from generate_docs import PAGES, main

REPOSITORY = Path(__file__).parents[2]


def test_generated_pages_are_in_step(tmp_path: Path) -> None:
    """`make docs` would change no page."""
    main(tmp_path)
    for page in PAGES:
        assert (tmp_path / page).read_text(encoding="utf-8") == (REPOSITORY / page).read_text(encoding="utf-8"), page
