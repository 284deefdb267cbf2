"""Reads Markdown documents: their code blocks, links, and anchors."""

import dataclasses
import re

from checks import ROOT

FENCE = re.compile(r"( *)(`{3,})(\w*)\s*$")
LINK = re.compile(r"\]\(<?([^()\s>]+)>?\)")


@dataclasses.dataclass
class Block:
    document: str
    line: int
    language: str
    text: str
    # The last line of text before the block.
    introduction: str

    @property
    def first_line(self):
        return self.text.split("\n")[0].strip()

    def __str__(self):
        return f"{self.document}:{self.line}: {self.first_line[:70]}"


def split(document):
    """Returns the code blocks of a document, and its other lines. A block can be indented."""
    blocks, prose = [], []
    fence = None
    lines = (ROOT / document).read_text().splitlines()
    for number, line in enumerate(lines, 1):
        match = FENCE.match(line)
        if fence is None and match:
            fence, start, content = match, number, []
        elif fence and match and match[2] == fence[2] and not match[3]:
            text = "".join(f"{line}\n" for line in content)
            introduction = next((line for line in reversed(prose) if line.strip()), "")
            blocks.append(Block(document, start, fence[3], text, introduction))
            fence = None
        elif fence:
            content.append(line.removeprefix(fence[1]))
        else:
            prose.append(line)
    if fence:
        raise SystemExit(f"FAILED: {document}:{start}: the code block has no end")
    return blocks, prose


def links(document):
    """Returns the targets of all links and pictures outside of code."""
    prose = re.sub(r"`[^`]*`", "", "\n".join(split(document)[1]))
    return [target for target in LINK.findall(prose)]


def anchors(document):
    """Returns the anchors of all headings, as GitHub creates them."""
    found = []
    for line in split(document)[1]:
        if heading := re.match(r"#+ +(.*)", line):
            title = re.sub(r"\]\([^)]*\)", "", heading[1]).lower()
            anchor = re.sub(r"[^\w\- ]", "", title).replace(" ", "-")
            again = sum(name == anchor or name.startswith(f"{anchor}-") for name in found)
            found.append(anchor if anchor not in found else f"{anchor}-{again}")
    return found
