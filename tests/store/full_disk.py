"""An SQLite database whose disk is full, until it is not."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from core.store.database import Database


def limit_pages(database: Database, pages: int) -> Any:
    """Let an SQLite database grow no further; the answer is a function that lifts the limit."""

    def limit(driver: Any, record: Any, proxy: Any) -> None:
        driver.execute(f"PRAGMA max_page_count={pages}")

    sa.event.listen(database.engine, "checkout", limit)

    def lift() -> None:
        nonlocal pages
        pages = 1_073_741_823

    return lift
