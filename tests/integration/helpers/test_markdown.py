"""What runs the documents' snippets runs all of them, and says which one failed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.markdown import Block, Shell, blocks, sections, shell

pytestmark = pytest.mark.integration

DOCUMENT = """\
Text, and `code` in it.

```sh
where=here; greet() { echo "hello $1"; }
export NAME=anna
```

1. A block in a list:

   ```python title="ask.py"
   import os
   print(os.environ["NAME"], "at port-of-old")
   ```

```sh
greet "$where"
python3 ask.py
```

```sh exit=2
echo refused; where=there; exit 2
```

```text
never run
```

```sh
greet "$where"; false; echo after
```
"""


@pytest.fixture
def document(tmp_path: Path) -> Path:
    path = tmp_path / "document.md"
    path.write_text(DOCUMENT)
    return path


@pytest.fixture
def bash(tmp_path: Path) -> Iterator[Shell]:
    with shell(tmp_path, os.environ, {"port-of-old": "port-of-new"}) as found:
        yield found


def test_blocks_are_selected_by_language_and_have_line_numbers(document: Path) -> None:
    assert [each.language for each in blocks(document)] == ["sh", "python", "sh", "sh", "text", "sh"]
    found = blocks(document, "python")
    assert [(str(each), each.options) for each in found] == [("document.md:11", {"title": "ask.py"})]
    assert found[0].text.startswith("import os\n")


def test_blocks_are_grouped_by_headings(tmp_path: Path) -> None:
    path = tmp_path / "headings.md"
    path.write_text("# All\n```sh\na\n```\n## One\n### Deep\n```sh\nb\n```\n```sh\nc\n```\n## Two\n```sh\nd\n```\n")
    found = {name: [each.text for each in some] for name, some in sections(path).items()}
    assert found == {"All": ["a\n"], "One: Deep": ["b\n", "c\n"], "Two": ["d\n"]}


def test_a_shell_keeps_variables_and_returns_output(document: Path, bash: Shell) -> None:
    *good, bad = blocks(document, "sh", "python")
    said = [bash.run(each).output for each in good]
    assert said == ["", "", "hello here\nanna at port-of-new\n", "refused\n"]
    with pytest.raises(AssertionError, match=r"document.md:29 ended with 1, not 0:\n(.*\n)+hello here\n"):
        bash.run(bad)


def test_a_block_that_does_not_end_is_reported(document: Path, bash: Shell) -> None:
    waiting = Block(document, 1, "sh", "echo begun; read -r line < <(tail -f /dev/null)")
    with pytest.raises(AssertionError, match=r"ended with no exit code after 0.5 s, not 0:\n(.*\n)+begun"):
        bash.run(waiting, timeout_s=0.5)
