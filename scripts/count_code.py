"""Prints counts of code and documentation that should be followed over time.

    python scripts/count_code.py [FOLDER]

FOLDER is a checkout, by default the one that holds this script. To count another commit:

    mkdir old && git archive COMMIT | tar --extract --directory old
    python scripts/count_code.py old
"""

import argparse
import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import Final

SHORT_LINES: Final = 60
"""Files with fewer lines are counted as short."""
PAGES: Final = ("README.md", "MODEL_CARD.md", "RESPONSIBLE_USE.md", "CONTRIBUTING.md", "CHANGELOG.md")
PLAIN_NUMBERS: Final = (0, 1, 2, 0.5, 255)
"""Numbers that need no name; neither do their negatives, powers of two from 4 to 2**32, and powers of ten."""
OPTIONS: Final = "animate/options.py"
"""Where `pcavs animate` declares its settings, in the class `AnimateOptions` and its bases."""


def main() -> None:
    """Counts and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=Path(__file__).resolve().parents[1])
    root = parser.parse_args().folder
    package = root / "src" / "pcavs"
    if not package.is_dir():
        sys.exit(f"no src/pcavs in {root}; give a checkout")
    sources = {path: path.read_text() for path in sorted(package.rglob("*.py"))}
    print_packages(package, sources)
    trees = {path: ast.parse(text) for path, text in sources.items()}
    constants = [documented for tree in trees.values() for documented in numeric_constants(tree)]
    literals = [value for tree in trees.values() for value in bare_numbers(tree)]
    print(f"files under {SHORT_LINES} lines: {sum(lines(text) < SHORT_LINES for text in sources.values())}")
    print(f"numeric constants of modules: {sum(constants)} with a docstring, {len(constants) - sum(constants)} without")
    print(f"bare numbers in functions: {len(literals)}")
    print(f"settings of `pcavs animate`: {count_settings(trees[package / OPTIONS], 'AnimateOptions')}")
    print_words(root)


def print_packages(package: Path, sources: dict[Path, str]) -> None:
    """Prints files, lines and code lines of each package; modules directly in `pcavs` are one row."""
    rows: dict[str, list[str]] = {}
    for path, text in sources.items():
        parts = path.relative_to(package).parts
        rows.setdefault(parts[0] if len(parts) > 1 else "(modules)", []).append(text)
    print(f"{'package':12} {'files':>6} {'lines':>7} {'code':>7}")
    for name, texts in [*sorted(rows.items()), ("all", list(sources.values()))]:
        print(f"{name:12} {len(texts):6} {sum(map(lines, texts)):7} {sum(map(code_lines, texts)):7}")


def print_words(root: Path) -> None:
    """Prints the words of the pages and of docs/."""
    words = {name: count_words([root / name]) for name in PAGES}
    words["docs/"] = count_words(sorted((root / "docs").rglob("*.md")))
    print(f"words of documentation: {sum(words.values())}")
    for name, count in words.items():
        print(f"  {name}: {count}")


def count_words(pages: list[Path]) -> int:
    """Returns the number of words between spaces in the pages that exist."""
    return sum(len(page.read_text().split()) for page in pages if page.is_file())


def lines(text: str) -> int:
    """Returns the number of lines."""
    return len(text.splitlines())


def code_lines(text: str) -> int:
    """Returns the number of lines with code: not blank, not only comment or docstring."""
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    skipped = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    used = {
        number for token in tokens if token.type not in skipped for number in range(token.start[0], token.end[0] + 1)
    }
    documented = {
        number
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        for number in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    return len(used - documented)


def numeric_constants(tree: ast.Module) -> Iterator[bool]:
    """Yields for each numeric constant of a module whether a docstring follows it.

    Several names that are assigned in one statement count once. A constant is numeric if a number is in its value and
    nothing in it is called but `np.array`; tables of strings are not counted.
    """
    for node, following in zip(tree.body, [*tree.body[1:], None], strict=True):
        if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
            continue
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target
        names = target.elts if isinstance(target, ast.Tuple) else [target]
        is_constant = all(isinstance(name, ast.Name) and name.id.isupper() for name in names)
        if is_constant and _is_numeric(node.value):
            yield isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant)


def _is_numeric(value: ast.expr) -> bool:
    parts = list(ast.walk(value))
    calls = [ast.unparse(part.func) for part in parts if isinstance(part, ast.Call)]
    constants = [part.value for part in parts if isinstance(part, ast.Constant)]
    has_number = any(isinstance(each, int | float) and not isinstance(each, bool) for each in constants)
    return has_number and not any(isinstance(each, str) for each in constants) and set(calls) <= {"np.array"}


def bare_numbers(tree: ast.Module) -> Iterator[float]:
    """Yields the numbers in the bodies of functions, without plain ones, subscripts and the exponents of powers."""
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            for statement in function.body:
                yield from _numbers(statement)


def _numbers(node: ast.AST) -> Iterator[float]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return  # the walk in `bare_numbers` comes to nested functions by itself
    if isinstance(node, ast.Constant):
        value = node.value
        if isinstance(value, int | float) and not isinstance(value, bool) and not is_plain(value):
            yield value
        return
    for name, child in ast.iter_fields(node):
        if isinstance(node, ast.Subscript) and name == "slice":
            continue
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow) and name == "right":
            continue
        for each in child if isinstance(child, list) else [child]:
            if isinstance(each, ast.AST):
                yield from _numbers(each)


def is_plain(value: float) -> bool:
    """Returns whether a number needs no name: see `PLAIN_NUMBERS`."""
    is_power = isinstance(value, int) and 4 <= value <= 1 << 32 and value & (value - 1) == 0
    return value in PLAIN_NUMBERS or is_power or re.fullmatch(r"1e[+-]?\d+|10*|0\.0*1", repr(value)) is not None


def count_settings(tree: ast.Module, name: str) -> int:
    """Returns the number of fields of a dataclass and of its bases in the same module."""
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    record = classes[name]
    own = sum(isinstance(node, ast.AnnAssign) for node in record.body)
    bases = (base.id for base in record.bases if isinstance(base, ast.Name) and base.id in classes)
    return own + sum(count_settings(tree, base) for base in bases)


if __name__ == "__main__":
    main()
