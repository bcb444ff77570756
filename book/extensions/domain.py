"""What the domains of the book have in common: all that they hold stands under the page that it was read from."""

from __future__ import annotations

from typing import Any

from sphinx.domains import Domain


class PageDomain(Domain):
    """A domain whose tables map the name of a page to what was found there."""

    def clear_doc(self, docname: str) -> None:
        for table in self.initial_data:
            self.data[table].pop(docname, None)

    def merge_domaindata(self, docnames: list[str], otherdata: dict[str, Any]) -> None:
        for table in self.initial_data:
            self.data[table] |= {name: found for name, found in otherdata[table].items() if name in docnames}
