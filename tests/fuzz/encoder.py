"""Coverage-guided fuzzing of what we say: ``python -m tests.fuzz.encoder [folder for the corpus] [libFuzzer options]``.

P4 of the wire: a command is refused with ``ConfigurationError``, or an independent server's tokenizer reads it back as the one
command that was meant, with the same arguments.
"""

import sys

import atheris

with atheris.instrument_imports(include=["aiogmail.imap"]):
    from aiogmail.errors import ConfigurationError
    from aiogmail.imap.wire import Flag, Label, LiteralMode, Mailbox, encode_command

from tests.imap import oracle


def one_input(data):
    provider = atheris.FuzzedDataProvider(data)
    kind = provider.PickValueInList([None, Mailbox, Label, Flag])
    mode = provider.PickValueInList(list(LiteralMode))
    utf8 = provider.ConsumeBool()
    text = provider.ConsumeUnicode(200)
    try:
        value = text if kind is None else kind(text)
        command = encode_command("A1", "X", value, ("y", value), literal=mode, utf8=utf8)
    except ConfigurationError:
        return
    tag, words = oracle.Ear(command.segments, mode.value, utf8).command()
    assert tag == b"A1", "another tag was heard"
    assert words[0] == oracle.Atom(b"X"), "another command was heard"
    assert words[2] == [words[2][0], words[1]], "the same value was heard as two"
    assert len(words) == 3, "another number of arguments was heard"
    if kind is None:
        assert words[1].octets == text.encode()
    elif kind is Flag:
        assert words[1] == oracle.Atom(text.encode())
    elif kind is Label or text.upper() != "INBOX":
        assert (words[1].octets.decode() if utf8 else oracle.mailbox_name(words[1].octets)) == text


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
