"""Messages that test whoever reads mail: every transfer encoding, charset, nesting and known malformation, generated.

``WELL_FORMED`` obey the RFCs, so that the standard library's reading of them is the reference; ``MALFORMED`` do not, and must merely be
borne. Both map a name to the octets of a message.
"""

from __future__ import annotations

import base64
import importlib.util
import itertools
import quopri
import random
from email.header import Header
from email.message import EmailMessage
from email.policy import SMTP, default
from pathlib import Path

__all__ = ["MALFORMED", "SHIPPED", "WELL_FORMED"]

WELL_FORMED: dict[str, bytes] = {}
MALFORMED: dict[str, bytes] = {}

LATIN = "Größe: 5 µm — “quoted”, naïve café €"
SAMPLES = {
    "us-ascii": "plain ASCII, nothing else",
    "utf-8": "Grüße, Ελλάδα, Россия, 日本, 한국, 😀",
    "iso-8859-1": "Größe: naïve café ½",
    "iso-8859-2": "Zażółć gęślą jaźń",
    "iso-8859-3": "Ĉu vi ŝatas ĝin?",
    "iso-8859-4": "Ģirts ķēra žurku",
    "iso-8859-5": "Съешь ещё этих булок",
    "iso-8859-6": "مرحبا بالعالم",
    "iso-8859-7": "Καλημέρα κόσμε",
    "iso-8859-8": "שלום עולם",
    "iso-8859-9": "Günaydın dünya ığş",
    "iso-8859-10": "Æðelstan þórr ŋ",
    "iso-8859-13": "Ąžuolas čia šiandien",
    "iso-8859-14": "Ŵythnos ŷ ḃ",
    "iso-8859-15": "10 € pour un œuf",
    "iso-8859-16": "Bună ziua, ștefan",
    "windows-1250": "Příliš žluťoučký kůň",
    "windows-1251": "Широкая электрификация",
    "windows-1252": LATIN.replace("µ", "u"),
    "windows-1253": "Γειά σου",
    "windows-1254": "Şişli’de “güneş”",
    "windows-1255": "שָׁלוֹם",
    "windows-1256": "اللغة العربية",
    "windows-1257": "Rīga – ūdens",
    "windows-1258": "Việt Nam".replace("ệ", "ê"),
    "koi8-r": "Привет, мир",
    "koi8-u": "Привіт, світе",
    "ibm866": "Привет из DOS",
    "cp437": "naïve ½",
    "macintosh": "naïve café",
    "tis-620": "สวัสดีชาวโลก",
    "gb2312": "你好，世界",
    "gbk": "鑈很好",
    "gb18030": "你好 𠀀",
    "big5": "你好，世界",
    "shift_jis": "こんにちは世界",
    "euc-jp": "こんにちは世界",
    "iso-2022-jp": "こんにちは世界",
    "euc-kr": "안녕하세요",
    "ks_c_5601-1987": "안녕하세요",
    "iso-2022-kr": "안녕하세요",
    "utf-7": "Grüße & mehr",
    "hz-gb-2312": "你好",
}
SEVEN_BIT = ("us-ascii", "iso-2022-jp", "iso-2022-kr", "utf-7", "hz-gb-2312")


def crlf(text: str | bytes) -> bytes:
    octets = text.encode() if isinstance(text, str) else text
    return octets.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def encode(octets: bytes, encoding: str) -> bytes:
    if encoding == "base64":
        return crlf(base64.encodebytes(octets))
    if encoding == "quoted-printable":
        return crlf(quopri.encodestring(octets))
    if encoding == "x-uuencode":
        import binascii

        lines = [binascii.b2a_uu(octets[start : start + 45]) for start in range(0, len(octets), 45)]
        return crlf(b"begin 644 file\n" + b"".join(lines) + b"`\nend\n")
    return octets


HEAD = b"From: Ann <ann@example.com>\r\nTo: bob@example.org\r\nSubject: a test\r\nMessage-ID: <%d@example.com>\r\nMIME-Version: 1.0\r\n"
_numbers = itertools.count(1)


def message(rest: str | bytes, *, body: bytes = b"", head: bytes | None = None) -> bytes:
    """A whole message: the usual header, more of it, an empty line and a body."""
    return (HEAD % next(_numbers) if head is None else head) + crlf(rest) + b"\r\n" + body


def _charsets() -> None:
    for charset, sample in SAMPLES.items():
        octets = crlf(f"{sample}\n{sample} =?= .\n\nend\n".encode() if charset == "us-ascii" else b"")
        octets = octets or f"{sample}\r\n{sample} =?= .\r\n\r\nend\r\n".encode(charset)
        for encoding in ("7bit", "8bit", "quoted-printable", "base64", "x-uuencode"):
            if encoding == "7bit" and charset not in SEVEN_BIT:
                continue
            if encoding == "x-uuencode" and charset not in ("utf-8", "koi8-r"):
                continue
            kind = f"Content-Type: text/plain; charset={charset}\nContent-Transfer-Encoding: {encoding}\n"
            WELL_FORMED[f"charset {charset} {encoding}"] = message(kind, body=encode(octets, encoding))
        html = f"<p>{sample}</p>\r\n".encode(charset)
        parts = [
            b"Content-Type: text/plain\r\n\r\nplain\r\n",
            b'Content-Type: text/html;\r\n\tcharset="%b"\r\nContent-Transfer-Encoding: base64\r\n\r\n%b'
            % (charset.upper().encode(), encode(html, "base64")),
        ]
        WELL_FORMED[f"charset {charset} html"] = message('Content-Type: multipart/alternative; boundary="b"\n', body=joined(b"b", parts))


def joined(boundary: bytes, parts: list[bytes], *, preamble: bytes = b"", epilogue: bytes = b"\r\n") -> bytes:
    return preamble + b"".join(b"--" + boundary + b"\r\n" + part + b"\r\n" for part in parts) + b"--" + boundary + b"--" + epilogue


def _headers() -> None:
    for charset in ("utf-8", "iso-8859-1", "iso-8859-2", "windows-1251", "koi8-r", "gb2312", "big5", "iso-2022-jp", "euc-kr", "shift_jis"):
        sample = SAMPLES[charset]
        for length in (1, 6):
            subject = Header(" ".join([sample] * length), charset, header_name="Subject").encode(linesep="\r\n")
            name = Header(sample, charset).encode(linesep="\r\n")
            head = b"Subject: %b\r\nFrom: %b <ann@example.com>\r\nTo: bob@example.org\r\n" % (subject.encode(), name.encode())
            WELL_FORMED[f"words {charset} {length}"] = message("", body=b"x\r\n", head=head)
    for number, people in enumerate(
        (
            "ann@example.com",
            "<ann@example.com>",
            "Ann <ann@example.com>",
            '"Ann, of Green Gables" <ann@example.com>',
            '"Ann \\"the\\" \\\\ One" <ann@example.com>',
            "Ann Other Person <ann@example.com>, bob@example.org,\n Cy <cy@example.net>",
            "=?utf-8?q?J=C3=BCrgen?= <j@example.com>, =?utf-8?b?w4TDlsOc?= <a@example.com>",
            "first.last+tag@sub.example.co.uk",
            "a@example.com, b@example.com, c@example.com, d@example.com",
            '"quoted local"@example.com',
            "x@[192.0.2.1]",
            "=?iso-8859-1?q?Andr=E9?= Pirard <PIRARD@vm1.ulg.ac.be>",
            "Muhammed.(I am the greatest) Ali @(the)Vegas.WBA",
        )
    ):
        head = f"From: {people}\nTo: {people}\nCc: cc@example.com\nSubject: people {number}\n"
        (MALFORMED if "(" in people else WELL_FORMED)[f"people {number}"] = message("", body=b"x\r\n", head=crlf(head))
    for number, subject in enumerate(
        (
            "",
            "plain",
            "folded\n over\n\tthree lines",
            "=?utf-8?q?one?=\n =?utf-8?q?_two?=",
            "a =?utf-8?q?b?= c",
            "=?us-ascii?q?x?= =?utf-8?q?=C3=A9?=",
            "=?UTF-8?B?8J+YgA==?= smile",
            "Re: Fwd: [list] x",
            "x" * 900,
            "tab\there",
            "=?utf-8?Q?=3D=3F=5F?=",
            "=?utf-8*en?q?lang?=",
        )
    ):
        head = f"From: ann@example.com\nTo: bob@example.org\nSubject: {subject}\n"
        WELL_FORMED[f"subject {number}"] = message("", body=b"x\r\n", head=crlf(head))


LEAVES = {
    "plain": b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nd\xc3\xa9j\xc3\xa0 vu\r\n",
    "bare": b"\r\nno header at all\r\n",
    "html": b"Content-Type: text/html; charset=utf-8\r\n\r\n<b>html</b>\r\n",
    "image": b"Content-Type: image/png; name=a.png\r\nContent-Transfer-Encoding: base64\r\nContent-ID: <img@x>\r\nContent-Disposition: inline; filename=a.png\r\n\r\niVBORw0KGgo=\r\n",
    "pdf": b"Content-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: attachment; filename=doc.pdf\r\n\r\nJVBERi0xLjQ=\r\n",
    "attached text": b"Content-Type: text/plain; charset=us-ascii\r\nContent-Disposition: attachment; filename=notes.txt\r\n\r\nnotes\r\n",
    "calendar": b"Content-Type: text/calendar; method=REQUEST; charset=utf-8\r\n\r\nBEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n",
    "empty": b"Content-Type: application/octet-stream\r\n\r\n",
    "signature": b"Content-Type: application/pgp-signature; name=signature.asc\r\n\r\n-----BEGIN PGP SIGNATURE-----\r\n",
    "message": b"Content-Type: message/rfc822\r\n\r\nFrom: in@example.com\r\nSubject: =?utf-8?q?inn=C3=A9r?=\r\n\r\ninner body\r\n",
    "message with parts": b"Content-Type: message/rfc822\r\nContent-Disposition: attachment; filename=fwd.eml\r\n\r\n"
    b"From: in@example.com\r\nSubject: inner\r\nContent-Type: multipart/mixed; boundary=inner\r\n\r\n"
    b"--inner\r\n\r\ninner text\r\n--inner\r\nContent-Type: application/zip; name=z.zip\r\nContent-Transfer-Encoding: base64\r\n\r\nUEsDBA==\r\n--inner--\r\n",
    "external": b"Content-Type: message/external-body; access-type=url; url=http://x.example\r\n\r\nContent-Type: image/gif\r\n\r\n",
    "disposition": b"Content-Type: message/disposition-notification\r\n\r\nFinal-Recipient: rfc822;x@example.com\r\n",
    "long line": b"Content-Type: text/plain\r\nContent-Disposition: attachment\r\n\r\n" + b"y" * 5000 + b"\r\n",
}


def multipart(subtype: str, parts: list[bytes], *, params: str = "", level: int = 0) -> bytes:
    boundary = f"=_{subtype}.{level}".encode()
    kind = f'Content-Type: multipart/{subtype}; boundary="{boundary.decode()}"{params}\r\n\r\n'
    return kind.encode() + joined(boundary, parts, epilogue=b"")


def _nesting() -> None:
    leaf = LEAVES
    alternative = multipart("alternative", [leaf["plain"], leaf["html"]], level=9)
    related = multipart("related", [leaf["html"], leaf["image"]], level=8)
    shapes = {
        "alternative": alternative,
        "related": related,
        "mixed text pdf": multipart("mixed", [leaf["plain"], leaf["pdf"]]),
        "mixed alternative pdf": multipart("mixed", [alternative, leaf["pdf"]]),
        "mixed alternative related": multipart("mixed", [multipart("alternative", [leaf["plain"], related], level=1), leaf["pdf"]]),
        "related alternative": multipart("related", [alternative, leaf["image"]], params='; type="multipart/alternative"'),
        "related start": multipart(
            "related",
            [leaf["image"], b"Content-ID: <root@x>\r\n" + leaf["html"]],
            params='; start="<root@x>"',
        ),
        "mixed two texts": multipart("mixed", [leaf["plain"], leaf["image"], leaf["plain"]]),
        "mixed attachment first": multipart("mixed", [leaf["pdf"], leaf["plain"]]),
        "mixed text attached": multipart("mixed", [leaf["attached text"], leaf["plain"]]),
        "alternative three": multipart("alternative", [leaf["plain"], leaf["html"], leaf["calendar"]]),
        "alternative html first": multipart("alternative", [leaf["html"], leaf["plain"]]),
        "signed": multipart("signed", [alternative, leaf["signature"]], params="; protocol=application/pgp-signature; micalg=pgp-sha256"),
        "report": multipart(
            "report", [leaf["plain"], leaf["disposition"], leaf["message"]], params="; report-type=disposition-notification"
        ),
        "parallel": multipart("parallel", [leaf["plain"], leaf["image"]]),
        "unknown subtype": multipart("x-strange", [leaf["plain"], leaf["pdf"]]),
        "digest": multipart(
            "digest", [b"\r\nFrom: a@x.example\r\nSubject: one\r\n\r\nfirst\r\n", b"Content-Type: text/plain\r\n\r\ntext\r\n"]
        ),
        "one part": multipart("mixed", [leaf["plain"]]),
        "form-data": multipart("form-data", [b'Content-Disposition: form-data; name="a"\r\n\r\n1\r\n']),
        "only attachments": multipart("mixed", [leaf["pdf"], leaf["image"]]),
        "html only": leaf["html"],
        "pdf only": leaf["pdf"],
        "message only": leaf["message"],
        "message with parts only": leaf["message with parts"],
        "calendar only": leaf["calendar"],
    }
    for name, leaf_part in LEAVES.items():
        shapes[f"mixed with {name}"] = multipart("mixed", [leaf["plain"], leaf_part])
        shapes[f"alternative with {name}"] = multipart("mixed", [alternative, leaf_part, leaf_part])
    for depth in range(1, 13):
        inner = leaf["plain"]
        for level in range(depth):
            inner = multipart("mixed", [inner, leaf["pdf"]] if level % 2 else [inner], level=level)
        shapes[f"depth {depth}"] = inner
    for depth in range(1, 6):
        inner = leaf["plain"]
        for _ in range(depth):
            inner = b"Content-Type: message/rfc822\r\n\r\nFrom: in@example.com\r\nSubject: level\r\n" + inner
        shapes[f"messages in messages {depth}"] = multipart("mixed", [leaf["plain"], inner])
    for name, shape in shapes.items():
        head, _, body = shape.partition(b"\r\n\r\n")
        WELL_FORMED[f"nesting {name}"] = message(head + b"\r\n" if head else b"", body=body)
    mixed = [leaf["plain"], leaf["pdf"]]
    kind = "Content-Type: multipart/mixed; boundary=%s\n"
    WELL_FORMED["boundary preamble"] = message(kind % "b", body=joined(b"b", mixed, preamble=b"This is MIME.\r\n"))
    WELL_FORMED["boundary epilogue"] = message(kind % "b", body=joined(b"b", mixed, epilogue=b"\r\nepilogue --b--\r\n"))
    WELL_FORMED["boundary white space"] = message(kind % "b", body=joined(b"b", mixed).replace(b"--b\r\n", b"--b \t\r\n"))
    WELL_FORMED["boundary prefix"] = message(kind % "b", body=joined(b"b", [multipart_with(b"bb", mixed), leaf["pdf"]]))
    WELL_FORMED["boundary odd"] = message(kind % '"a b(c)+_,-./:=?\'"', body=joined(b"a b(c)+_,-./:=?'", mixed))
    WELL_FORMED["boundary long"] = message(kind % ("x" * 70), body=joined(b"x" * 70, mixed))
    WELL_FORMED["boundary in a line"] = message(kind % "b", body=joined(b"b", [b"\r\nsee --b here\r\n --b\r\n", leaf["pdf"]]))


def multipart_with(boundary: bytes, parts: list[bytes]) -> bytes:
    return b"Content-Type: multipart/mixed; boundary=" + boundary + b"\r\n\r\n" + joined(boundary, parts, epilogue=b"")


FILENAMES = {
    "plain": 'attachment; filename="report.pdf"',
    "token": "attachment; filename=report.pdf",
    "upper": 'ATTACHMENT; FILENAME="report.pdf"',
    "quoted pairs": 'attachment; filename="a \\"b\\" \\\\ c.pdf"',
    "semicolon": 'attachment; filename="a;b=c.pdf"; size=12',
    "rfc2231": "attachment; filename*=utf-8''%C3%9Cbersicht%20%E2%82%AC.pdf",
    "rfc2231 language": "attachment; filename*=iso-8859-1'en'%A3%20rates.pdf",
    "rfc2231 latin": "attachment; filename*=ISO-8859-1''Gr%F6%DFe.pdf",
    "rfc2231 continued": 'attachment;\n filename*0="a very long ";\n filename*1="name that goes on";\n filename*2=".pdf"',
    "rfc2231 continued encoded": "attachment;\n filename*0*=utf-8''%C3%9Cber;\n filename*1*=%20%E2%82%AC;\n filename*2=\"-x.pdf\"",
    "rfc2231 cut in a character": "attachment;\n filename*0*=utf-8''%E2%82;\n filename*1*=%AC.pdf",
    "rfc2231 many": "attachment;\n" + ";\n".join(f' filename*{number}="{number:02}."' for number in range(12)),
    "folded": 'attachment;\n filename="a\n b.pdf"',
    "spaces": 'attachment; filename="  two  words .pdf"',
    "path": 'attachment; filename="../../etc/passwd"',
    "empty": 'attachment; filename=""',
    "none": "attachment",
    "inline": 'inline; filename="inline.pdf"',
    "unknown": 'x-strange; filename="x.pdf"',
    "dates": 'attachment; filename="d.pdf"; creation-date="Wed, 12 Feb 1997 16:29:51 -0500"',
}
BAD_FILENAMES = {
    "rfc2047": 'attachment; filename="=?utf-8?Q?=C3=9Cbersicht.pdf?="',
    "rfc2047 unquoted": "attachment; filename==?utf-8?B?w5xiZXJzaWNodC5wZGY=?=",
    "rfc2047 folded": 'attachment; filename="=?utf-8?B?w5xiZXI=?=\n =?utf-8?B?c2ljaHQ=?="',
    "rfc2047 koi8": 'attachment; filename="=?koi8-r?B?8NLJ18XU?=.doc"',
    "utf-8": 'attachment; filename="Übersicht.pdf"',
    "unquoted words": "attachment; filename=two words (1).pdf",
    "no end": 'attachment; filename="no end.pdf',
    "no value": "attachment; filename",
    "no name": 'attachment; ="x.pdf"',
    "twice": "attachment; filename=a.pdf; filename=b.pdf",
    "both": "attachment; filename=plain.pdf; filename*=utf-8''%C3%9C.pdf",
    "bad percent": "attachment; filename*=utf-8''100%.pdf",
    "bad charset": "attachment; filename*=x-none''%C3%9C.pdf",
    "no charset": "attachment; filename*=%C3%9C.pdf",
    "gap": "attachment; filename*0=a; filename*2=c",
    "wild number": "attachment; filename*9999999999=a; filename*-1=b",
    "commas": "attachment, filename=x.pdf",
    "two semicolons": "attachment;; filename=x.pdf;",
    "control": 'attachment; filename="a\x07\x1bb.pdf"',
    "only parameters": "; filename=x.pdf",
    "equals only": "=",
}


def _filenames() -> None:
    for table, into in ((FILENAMES, WELL_FORMED), (BAD_FILENAMES, MALFORMED)):
        for name, disposition in table.items():
            part = (
                b"Content-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: %b\r\n\r\nJVBERi0=\r\n"
                % crlf(disposition)
            )
            into[f"filename {name}"] = message("Content-Type: multipart/mixed; boundary=b\n", body=joined(b"b", [LEAVES["plain"], part]))
            old = disposition.replace("filename", "name").partition(";")[2] or " x=y"
            part = b"Content-Type: application/pdf;%b\r\nContent-Transfer-Encoding: base64\r\n\r\nJVBERi0=\r\n" % crlf(old)
            into[f"name {name}"] = message("Content-Type: multipart/mixed; boundary=b\n", body=joined(b"b", [LEAVES["plain"], part]))
    part = b'Content-Type: application/pdf; name="R\xe9sum\xe9.pdf"\r\n\r\nx\r\n'
    MALFORMED["filename latin-1"] = message("Content-Type: multipart/mixed; boundary=b\n", body=joined(b"b", [LEAVES["plain"], part]))


def _composed() -> None:
    """As the standard library itself writes them."""
    for number in range(12):
        made = EmailMessage(policy=default.clone(max_line_length=78, linesep="\r\n"))
        made["From"], made["To"] = "Jürgen Müller <j@example.com>", "a@example.org, Ännchen <b@example.org>"
        made["Subject"] = f"zusammengesetzt {number} " + "ü" * number * 5
        made["Message-ID"] = f"<composed.{number}@example.com>"
        made.set_content(LATIN * (number + 1) + "\n", cte=("quoted-printable", "base64", "8bit")[number % 3])
        if number % 2:
            made.add_alternative(f"<p>{LATIN}</p>\n", subtype="html")
            if number % 3 == 0:
                made.get_payload()[1].add_related(bytes(range(256)), "image", "gif", cid="<gif@x>")
        for size in range(number % 4):
            made.add_attachment(
                bytes(range(256)) * size * 40, maintype="application", subtype="octet-stream", filename=f"Anhang {size} ü.bin"
            )
        WELL_FORMED[f"composed {number}"] = made.as_bytes(policy=SMTP)


def _malformed() -> None:
    leaf, kind = LEAVES, "Content-Type: multipart/mixed; boundary=b\n"
    mixed = joined(b"b", [leaf["plain"], leaf["pdf"]])
    plain = "Content-Type: text/plain; charset=%s\nContent-Transfer-Encoding: %s\n"
    add = MALFORMED
    add["empty"] = b""
    add["line end"] = b"\r\n"
    add["no header"] = b"\r\njust a body\r\n"
    add["no body"] = b"Subject: x\r\n"
    add["no end of header"] = b"Subject: x"
    add["text without header"] = b"this is no header\r\nnor this\r\n"
    add["mbox"] = b"From ann@example.com Mon Jan  1 00:00:00 2024\r\nSubject: x\r\n\r\nbody\r\n"
    add["bare LF"] = message(kind, body=mixed).replace(b"\r\n", b"\n")
    add["mixed line ends"] = message(kind, body=mixed.replace(b"--b\r\n", b"--b\n"))
    add["bare CR"] = message(kind, body=mixed.replace(b"vu\r\n", b"vu\rx\r\n"))
    add["NUL"] = message(plain % ("utf-8", "8bit"), body=b"a\0b\r\n")
    add["no boundary"] = message("Content-Type: multipart/mixed\n", body=mixed)
    add["empty boundary"] = message('Content-Type: multipart/mixed; boundary=""\n', body=mixed)
    add["wrong boundary"] = message("Content-Type: multipart/mixed; boundary=c\n", body=mixed)
    add["boundary not closed"] = message(kind, body=mixed.replace(b"--b--\r\n", b""))
    add["boundary twice"] = message(kind, body=mixed.replace(b"--b\r\n", b"--b\r\n--b\r\n"))
    add["only boundaries"] = message(kind, body=b"--b\r\n--b\r\n--b--\r\n")
    add["only the end"] = message(kind, body=b"--b--\r\n")
    add["shared boundary"] = message(kind, body=joined(b"b", [multipart_with(b"b", [leaf["plain"], leaf["html"]]), leaf["pdf"]]))
    add["inner not closed"] = message(kind, body=joined(b"b", [multipart_with(b"c", [leaf["plain"]]).replace(b"--c--", b""), leaf["pdf"]]))
    add["multipart in base64"] = message(kind + "Content-Transfer-Encoding: base64\n", body=base64.encodebytes(mixed))
    add["message in base64"] = message(
        kind,
        body=joined(
            b"b", [leaf["plain"], b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\nU3ViamVjdDogeA0KDQp5DQo=\r\n"]
        ),
    )
    add["message empty"] = message(kind, body=joined(b"b", [b"Content-Type: message/rfc822\r\n\r\n"]))
    add["part header only"] = message(kind, body=b"--b\r\nContent-Type: text/html\r\n--b--\r\n")
    for name, value in {
        "no slash": "text",
        "empty": "",
        "two slashes": "text/plain/x",
        "only slash": "/",
        "words": "plain text",
        "semicolon": ";",
        "quotes": '"text/plain"',
        "comment": "text/plain (a comment); charset=us-ascii (another)",
        "8-bit": "text/pläin",
        "binary": "\x01\x02/\x03",
        "star": "text/*",
        "long": "text/" + "x" * 3000,
        "many parameters": "text/plain; " + "; ".join(f"p{number}=v" for number in range(200)),
    }.items():
        add[f"type {name}"] = message(f"Content-Type: {value}\n", body=b"body\r\n")
    for charset in (
        "x-none",
        "",
        '""',
        "utf-8-with-more",
        "base64",
        "unicode_escape",
        "idna",
        "undefined",
        "punycode",
        "none",
        "8bit",
        "ansi",
        "utf8",
    ):
        add[f"charset {charset or 'missing'}"] = message(plain % (charset, "8bit"), body="Grüße\r\n".encode())
    for charset, octets in {
        "us-ascii": "Grüße".encode("latin-1"),
        "utf-8": "Grüße naïve".encode("latin-1"),
        "UTF-8": "Grüße ".encode() * 20 + b"\xff",
        "iso-8859-1": "“quoted” €".encode("cp1252"),
        "gb2312": "鑈".encode("gbk"),
        "shift_jis": "①".encode("cp932"),
        "euc-kr": "똠".encode("cp949"),
        "big5": b"\xff\xff",
        "utf-16": b"\xd8\x00\xd8",
        "utf-32": b"\xff" * 7,
        "iso-2022-jp": b"\x1b$B\xff\xff",
        "utf-7": b"+ZZZZ\xff",
        "windows-1252": b"\x81\x8d",
    }.items():
        add[f"octets not of {charset}"] = message(plain % (charset, "8bit"), body=octets + b"\r\n")
    for name, octets in {
        "foreign": b"SGVs*bG8gd29y!!bGQ=\r\n",
        "no padding": b"SGVsbG8gd29ybGQ\r\n",
        "one digit": b"SGVsbG8gd29ybGQA\r\nB",
        "joined": b"SGVs\r\nbG8=\r\nIHdvcmxk\r\n",
        "only padding": b"====\r\n",
        "text behind": b"SGVsbG8=\r\n-- \r\nfooter of a list\r\n",
        "spaces": b"S G V s b G 8 =\r\n",
        "empty": b"",
    }.items():
        add[f"base64 {name}"] = message(plain % ("utf-8", "base64"), body=octets)
    for name, octets in {
        "bad digits": b"a=ZZb =4 =\r\nc=",
        "lower": b"=c3=a9\r\n",
        "soft at the end": b"a=",
        "equals": b"a==b===\r\n",
        "8-bit": "é=C3=A9\r\n".encode(),
        "long": b"=C3=A9" * 2000 + b"\r\n",
        "spaces behind": b"a= \r\nb\r\n",
    }.items():
        add[f"quoted-printable {name}"] = message(plain % ("utf-8", "quoted-printable"), body=octets)
    for encoding in ("x-unknown", "quoted/printable", "BASE64 ", "base64; x", "x-uuencode", "7-bit", "utf-8", "é"):
        add[f"encoding {encoding}"] = message(plain % ("utf-8", encoding), body=b"SGVsbG8=\r\n")
    for name, head in {
        "8-bit subject": "Subject: Größe\nFrom: Jürgen <j@example.com>\n".encode(),
        "latin subject": "Subject: Größe\nFrom: Jürgen <j@example.com>\n".encode("latin-1"),
        "bad word": b"Subject: =?utf-8?b?!!!?= =?x-none?q?=E9?= =?utf-8?x?y?= =?utf-8?q?\n",
        "space in word": b"Subject: =?utf-8?q?a b?=\n",
        "cut word": b"Subject: =?utf-8?q?=E2=82?=\n",
        "two subjects": b"Subject: one\nSubject: two\n",
        "no colon": b"Subject x\nFrom: a@example.com\n",
        "space before colon": b"Subject : x\nFrom : a@example.com\n",
        "empty name": b": x\nSubject: y\n",
        "folded first": b" folded\nSubject: y\n",
        "blank fold": b"Subject: a\n \n b\n",
        "many recipients": b"To: " + b", ".join(b"p%d@example.com" % number for number in range(300)) + b"\n",
        "addresses": b'From: <>, @, a@, @b, <<x@y>>, "open <a@b>, (comment\nTo: ;;,,\n',
        "groups": b"To: undisclosed-recipients:;\nCc: Team: a@example.com, b@example.com;, c@example.com\n",
        "nested groups": b"To: a:b:c@d;;\n",
        "encoded address": b"From: =?utf-8?q?a=40b=2Ec?=\nTo: =?utf-8?q?x?=@example.com\n",
        "date": b"Date: Fri, 99 Foo 2024 99:99:99 +9999\n",
        "message ids": b"Message-ID: no angle\nIn-Reply-To: <a> <b>\nReferences: x\n",
        "long line": b"Subject: " + b"x" * 100_000 + b"\n",
        "long fold": b"Subject: x" + b"\n y" * 5000 + b"\n",
        "controls": b"Subject: a\x01\x02\x7f\x80\n",
        "unfinished quote": b'From: "Ann <ann@example.com>\nSubject: x\n',
        "mime version": b"MIME-Version: 7.0 (x)\nContent-Type: text/html\n",
        "message id brackets": b"Message-ID: <[abc]@example.com>\nSubject: x\n",
        "content id": b"Content-ID: <<x\nContent-Description: =?utf-8?q?=C3=A9?=\nContent-Language: de, en;q=1\n",
    }.items():
        add[f"header {name}"] = message("", body=b"x\r\n", head=crlf(head))
    for depth in (30, 49, 60, 1100):
        text = b"".join(b"Content-Type: multipart/mixed; boundary=x%d\r\n\r\n--x%d\r\n" % (level, level) for level in range(depth))
        add[f"depth {depth}"] = message(text.partition(b"\r\n\r\n")[0] + b"\r\n", body=text.partition(b"\r\n\r\n")[2] + b"\r\ntext\r\n")
        add[f"messages {depth}"] = message("", body=b"x", head=b"Content-Type: message/rfc822\r\n\r\n" * depth)
    for name, sign in (("comments", b"("), ("groups", b"a:"), ("quoted comments", b'"(')):
        add[f"addresses {name}"] = message("", body=b"x\r\n", head=b"From: " + sign * 4000 + b"\r\nTo: a@example.com\r\n")
    related = "Content-Type: multipart/related; boundary=c; start=x"
    add["related without parts"] = message(related, body=b"nothing\r\n")
    add["related without parts inside"] = message(
        kind, body=b"--b\r\n" + related.encode() + b"\r\n\r\nnothing\r\n--b\r\nContent-Type: text/html\r\n\r\n<b>there\r\n--b--\r\n"
    )
    add["many parts"] = message(kind, body=b"--b\r\n\r\nx\r\n" * 300 + b"--b--\r\n")
    add["many marks in a line"] = message(kind, body=b"--b\r\n\r\n" + b"--b" * 30_000)


def _mutants() -> None:
    chance = random.Random(7)
    names = sorted(WELL_FORMED)
    for number in range(60):
        raw = bytearray(WELL_FORMED[chance.choice(names)])
        for _ in range(chance.randrange(1, 8)):
            place = chance.randrange(len(raw))
            match chance.randrange(4):
                case 0:
                    raw[place] = chance.randrange(256)
                case 1:
                    del raw[place : place + chance.randrange(40)]
                case 2:
                    raw[place:place] = raw[chance.randrange(len(raw)) :][: chance.randrange(60)]
                case 3:
                    raw[place:place] = chance.choice([b"\r\n", b"--b", b'"', b"\0", b"=?utf-8?q?", b";", b"\xff", b"\r\n\r\n", b"("])
            if not raw:
                raw += b"x"
        MALFORMED[f"mutant {number}"] = bytes(raw)


def _shipped() -> dict[str, bytes]:
    """The standard library's own test messages; none where the interpreter does not ship them."""
    try:
        spec = importlib.util.find_spec("test.test_email")
    except ModuleNotFoundError:
        return {}
    if spec is None or spec.origin is None:
        return {}
    return {path.name: path.read_bytes() for path in sorted((Path(spec.origin).parent / "data").glob("*.txt"))}


for _fill in (_charsets, _headers, _nesting, _filenames, _composed, _malformed, _mutants):
    _fill()
SHIPPED = _shipped()
