"""The house keeps its floors: who imports whom, abstract or final, how long a file may be."""

import ast
from pathlib import Path

import pytest

from pushforward import catalogue

ROOT = Path(__file__).resolve().parents[1] / "src" / "pushforward"
FLOORS = {
    "errors": 0, "noise": 1, "space": 1, "engine": 1, "fields": 1, "abilities": 1, "graphs": 1, "nets": 2, "data": 2, "saving": 2, "loading": 2, "tags": 2,
    "anomaly": 2, "model": 3, "maths": 4, "metrics": 4, "models": 5, "report": 5, "catalogue": 6, "workbench": 7, "demo": 7, "lessons": 7,
    "cli": 8, "__main__": 9, "__init__": 9,
}  # fmt: skip
ORDER_ON_A_FLOOR = {
    ("engine", "noise"),
    ("space", "noise"),
    ("loading", "space"),
    ("loading", "saving"),
    ("metrics", "maths"),
}
FILES = sorted(ROOT.rglob("*.py"))


def room(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imports(path: Path):
    """(room, whole dotted path) of every import from inside the house, wherever in the file it stands."""
    package = ("pushforward", *path.relative_to(ROOT).parts[:-1])
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            if node.level:
                base = package[: len(package) - node.level + 1] + tuple(
                    (node.module or "").split(".") if node.module else ()
                )
            else:
                base = tuple((node.module or "").split("."))
            if base[0] == "pushforward":
                for alias in node.names:
                    yield (*base[1:], alias.name) if len(base) == 1 else (*base[1:], alias.name)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_room_imports_only_rooms_below(path):
    own = room(path)
    for target in imports(path):
        there = target[0]
        if there == own or own == "__init__":
            continue
        assert there in FLOORS, f"{path} imports {there}, which has no floor"
        assert FLOORS[there] < FLOORS[own] or (own, there) in ORDER_ON_A_FLOOR, (
            f"{path.relative_to(ROOT)} (floor {FLOORS[own]}) imports {there}"
        )


@pytest.mark.parametrize("path", [p for p in FILES if room(p) == "models"], ids=lambda p: str(p.relative_to(ROOT)))
def test_families_never_import_each_other(path):
    parts = path.relative_to(ROOT).parts
    if len(parts) < 3:
        return
    for target in imports(path):
        assert target[0] != "models" or target[1] == parts[1], f"{path} imports {'.'.join(target)}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_stay_short(path):
    lines = len(path.read_text().splitlines())
    limit = 200 if room(path) == "models" else 450
    assert lines <= limit, (
        f"{path.relative_to(ROOT)} has {lines} lines; {limit} are the most. Which idea in it is a file of its own?"
    )


@pytest.mark.parametrize("name", catalogue.names())
def test_a_system_is_final_and_three_deep_at_most(name):
    kind = catalogue.find(name)
    chain = [c.__name__ for c in kind.__mro__ if c.__module__.startswith("pushforward.models") or c.__name__ == "Model"]
    assert len(chain) <= 3 and chain[-1] == "Model"
    assert not [c.__name__ for c in kind.__mro__[1:] if c.__name__ in catalogue.names()], (
        "a final class is not subclassed"
    )


@pytest.mark.parametrize("name", catalogue.names())
def test_a_system_learns_in_one_way_and_has_its_own_tests(name):
    kind = catalogue.find(name)
    ways = [way for way in ("solve", "loss", "moves") if way in vars(kind)]
    assert len(ways) <= 1 or (ways == ["loss", "moves"] and kind.players), f"{name} learns by {ways}"
    module = Path(kind.__module__.replace("pushforward.models.", "").replace(".", "/"))
    assert (ROOT.parents[1] / "tests" / "models" / module.parent / f"test_{module.name}.py").exists()


@pytest.mark.parametrize("family", catalogue.FAMILIES)
def test_every_file_of_a_family_is_listed(family):
    listed = {catalogue.find(n).__module__.rpartition(".")[2] for n, f in catalogue.names().items() if f == family}
    there = {p.stem for p in (ROOT / "models" / family).glob("*.py")} - {"__init__", "family"}
    assert there == listed
