import pytest

from aiogmail.imap.wire import Part

from .ways import one

PLAIN = (
    '("TEXT" "plain" ("charset" "utf-8" "x" NIL) "<i>" "desc" "quoted-printable" 11 2 "md5" ("inline" ("filename" "a")) "en" "loc" "more")'
)
PIC = '("IMAGE" "PNG" NIL NIL NIL "BASE64" 900 NIL ("ATTACHMENT" ("FILENAME" "p.png")) ("en" "de") NIL)'


def read(text: str) -> Part | None:
    return one(f"* 1 FETCH (BODYSTRUCTURE {text})").get("BODYSTRUCTURE")


def test_a_single_part_has_number_one_and_all_its_fields():
    assert read(PLAIN) == Part(
        "1",
        "TEXT",
        "PLAIN",
        params={"CHARSET": b"utf-8", "X": b""},
        id=b"<i>",
        description=b"desc",
        encoding="QUOTED-PRINTABLE",
        size=11,
        lines=2,
        md5=b"md5",
        disposition="INLINE",
        disposition_params={"FILENAME": b"a"},
        language=(b"en",),
        location=b"loc",
    )


def test_parts_of_a_multipart_are_numbered_from_one():
    part = read(f'({PLAIN}({PIC}{PLAIN} "RELATED" ("B" "2")){PIC} "MIXED" ("BOUNDARY" "x") ("inline" NIL) ("en") "loc")')
    assert [p.section for p in part.walk()] == ["", "1", "2", "2.1", "2.2", "3"]
    assert [p.subtype for p in part.walk()] == ["MIXED", "PLAIN", "RELATED", "PNG", "PLAIN", "PNG"]
    assert part.type == "MULTIPART"
    assert part.params == {"BOUNDARY": b"x"}
    assert (part.disposition, part.language, part.location) == ("INLINE", (b"en",), b"loc")
    assert part.children[2].disposition == "ATTACHMENT"
    assert part.children[2].disposition_params == {"FILENAME": b"p.png"}
    assert part.children[2].language == (b"en", b"de")
    assert part.children[2].lines is None


def message(body: str) -> str:
    return f'("MESSAGE" "RFC822" NIL NIL NIL "7BIT" 500 ("d" "inner" NIL NIL NIL NIL NIL NIL NIL "<i>") {body} 12 NIL ("ATTACHMENT" NIL) NIL NIL)'


def test_a_message_within_holds_its_envelope_and_body():
    part = read(message(PLAIN))
    assert part.envelope.subject == b"inner"
    assert part.lines == 12
    assert part.disposition == "ATTACHMENT"
    assert [p.section for p in part.walk()] == ["1", "1.1"]
    part = read(f'({PLAIN}{message(f"""({PLAIN}{PIC} "MIXED" NIL)""")} "MIXED")')
    assert [p.section for p in part.walk()] == ["", "1", "2", "2.TEXT", "2.1", "2.2"]
    assert read(message("NIL")).children == ()
    assert read(message("NIL").replace("MESSAGE", "message").replace("RFC822", "GLOBAL")).subtype == "GLOBAL"


@pytest.mark.parametrize(
    ("text", "section", "kind", "subtype", "encoding"),
    [
        ('("ALTERNATIVE" ("BOUNDARY" "x") NIL NIL)', "", "MULTIPART", "ALTERNATIVE", None),
        ('("RELATED" NIL ("ATTACHMENT" NIL) NIL)', "", "MULTIPART", "RELATED", None),
        ('("ALTERNATIVE")', "", "MULTIPART", "ALTERNATIVE", None),
        ("()", "", "MULTIPART", "", None),
        ("(())", "", "MULTIPART", "", None),
        (
            '("MESSAGE" "RFC822" ("NAME" "x.eml") NIL NIL "BASE64" 3000 NIL ("ATTACHMENT" ("FILENAME" "x.eml")) NIL)',
            "1",
            "MESSAGE",
            "RFC822",
            "BASE64",
        ),
        ('("TEXT" NIL NIL NIL NIL "7BIT" 3 1)', "1", "TEXT", "", "7BIT"),
        ('("TEXT")', "1", "TEXT", "", None),
        ('("TEXT" "PLAIN" "x" (y) (z) (w) "big" "many" (m) "inline" 5 (l))', "1", "TEXT", "PLAIN", None),
        ('("x" "y" (a (b) (c) "d" odd) 5)', "1", "X", "Y", None),
        ("(NIL NIL)", "", "MULTIPART", "", None),
    ],
)
def test_what_gmail_sends_in_another_shape_gives_the_best_tree(text, section, kind, subtype, encoding):
    part = read(text)
    assert (part.section, part.type, part.subtype, part.encoding) == (section, kind, subtype, encoding)
    assert list(part.walk())


def test_a_message_in_the_form_of_a_basic_part_keeps_its_disposition():
    part = read('("MESSAGE" "RFC822" ("NAME" "x.eml") NIL NIL "BASE64" 3000 NIL ("ATTACHMENT" ("FILENAME" "x.eml")) NIL)')
    assert part.disposition == "ATTACHMENT"
    assert part.disposition_params == {"FILENAME": b"x.eml"}
    assert part.envelope is None
    assert part.children == ()


def test_a_child_without_children_stands_among_others():
    part = read(f'(("ALTERNATIVE" ("BOUNDARY" "x") NIL NIL){PLAIN} "MIXED" NIL)')
    assert [(p.section, p.subtype) for p in part.walk()] == [("", "MIXED"), ("1", "ALTERNATIVE"), ("2", "PLAIN")]


def test_no_structure_is_none():
    assert read("NIL") is None
    assert one("* 1 FETCH (BODY NIL)").get("BODY", 1) is None
    assert one("* 1 FETCH (BODY x UID 3)").get("BODY") is None


def test_literals_stand_for_strings_anywhere():
    part = read('({4}\nTEXT "PLAIN" ({4}\nNAME {5}\na\n(") NIL NIL "7BIT" 3 1)')
    assert part.type == "TEXT"
    assert part.params == {"NAME": b'a\r\n("'}
