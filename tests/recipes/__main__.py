"""``python -m tests.recipes``: write the tables of docs/recipes.md anew."""

from . import facts, table

if __name__ == "__main__":
    path = facts.ROOT / "docs/recipes.md"
    path.write_text(table.page(path.read_text(encoding="utf-8")), encoding="utf-8")
