"""What may be asked for, and what is refused before anything is sent."""

import pytest

from aiogmail import ConfigurationError
from aiogmail.imap.items import ITEMS, Items, read_items, wire_items


@pytest.mark.parametrize(
    ("items", "wire", "texts"),
    [
        ((), ("FLAGS", "INTERNALDATE", "RFC822.SIZE"), ()),
        (("uid",), (), ()),
        (("RAW", "Envelope", "structure"), ("ENVELOPE", "BODYSTRUCTURE", "BODY.PEEK[]"), ()),
        (("headers",), ("BODY.PEEK[HEADER]",), ()),
        (("header:subject", "header: From", "HEADER:Subject"), ("BODY.PEEK[HEADER.FIELDS (SUBJECT FROM)]",), ()),
        (("header:subject", "headers"), ("BODY.PEEK[HEADER]",), ()),
        (("part:1.2", "part:3", "part:1.2"), ("BODYSTRUCTURE", "BODY.PEEK[1.2]", "BODY.PEEK[3]"), ()),
        (("text",), ("BODYSTRUCTURE",), ("plain",)),
        (("html", "text", "flags"), ("FLAGS", "BODYSTRUCTURE"), ("plain", "html")),
        (("text", "raw"), ("BODY.PEEK[]",), ()),
    ],
)
def test_items_become_those_of_the_wire(items, wire, texts):
    assert read_items(items) == Items(wire, texts)
    if texts:
        with pytest.raises(ConfigurationError, match="are for fetch"):
            wire_items(items)
    else:
        assert wire_items(items) == wire


def test_every_item_has_its_place():
    assert read_items(tuple(ITEMS)).wire == tuple(item for item in ITEMS.values() if item)


@pytest.mark.parametrize(
    "item",
    [
        "subject",
        "",
        "header",
        "header:",
        "header:a b",
        "header:a:b",
        "header:ä",
        "header:x)",
        "part",
        "part:",
        "part:0",
        "part:1.TEXT",
        "flags:x",
        1,
        None,
        b"raw",
    ],
)
def test_what_is_no_item_is_refused(item):
    with pytest.raises(ConfigurationError, match="items: expected"):
        read_items((item,))
