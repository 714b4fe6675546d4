"""Commands that say what there is: recipes, analyses."""

from __future__ import annotations

from typing import Annotated

import tyro

from interp.cli.printing import print_json, print_table, say

Json = Annotated[bool, tyro.conf.arg(name="json", help="print JSON")]


def recipes(json_output: Json = False) -> None:
    """List the recipes: complete configurations, each of which `interp train` trains."""
    from interp.config.recipes import recipes as all_recipes

    _listed(all_recipes(), "what it is", json_output=json_output)
    if not json_output:
        say("Train one: interp train RECIPE; what to expect of it, and every flag: interp train RECIPE --help")


def analyses(json_output: Json = False) -> None:
    """List the built-in analyses: the questions that `interp analyze` and `interp report` answer."""
    from interp.observing.analysis import analyses as all_analyses

    _listed(all_analyses(), "question", json_output=json_output)
    if not json_output:
        say("Ask one: interp analyze RUN -a NAME; for one of your own, see README.md")


def _listed(known: dict[str, str], what: str, *, json_output: bool) -> None:
    if json_output:
        print_json(known)
    else:
        print_table([{"name": name, what: line} for name, line in known.items()])
