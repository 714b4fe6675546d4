"""The report: a run's series and figures as one offline HTML page."""

from interp.reporting.page import Page, Panel, page
from interp.reporting.write import report

__all__ = ["Page", "Panel", "page", "report"]
