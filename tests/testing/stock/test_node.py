"""imapflow and nodemailer, where node finds them: ``npm install imapflow nodemailer`` somewhere and NODE_PATH pointing there."""

import json
import shutil
import subprocess

import pytest

from tests.testing.support import ME

pytestmark = pytest.mark.slow  # on one Python: see noxfile.py


def _found(*names):
    if shutil.which("node") is None:
        return False
    script = ";".join(f"require.resolve('{name}')" for name in names)
    return subprocess.run(["node", "-e", script], capture_output=True, check=False).returncode == 0


def run(server, account, tmp_path, script):
    """Run a script with the server's place and a token in ``env``; what it prints last, as JSON."""
    ca = tmp_path / "ca.pem"
    ca.write_text(server.ca_pem)
    env = {
        "host": server.host,
        "imap": server.port("imap"),
        "smtp": server.port("smtp"),
        "submission": server.port("submission"),
        "user": ME,
        "accessToken": account.access_token(),
    }
    text = f"const env = {json.dumps(env)}; const tls = {{ca: require('fs').readFileSync({json.dumps(str(ca))})}};\n(async () => {{{script}}})().catch(e => {{console.error(e); process.exit(1)}})"
    done = subprocess.run(["node", "-e", text], capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.skipif(not _found("imapflow"), reason="node or its module imapflow is not installed")
def test_a_session_of_imapflow(server, account, tmp_path):
    seen = run(
        server,
        account,
        tmp_path,
        """
        const { ImapFlow } = require('imapflow');
        const { host, user, accessToken } = env;
        const client = new ImapFlow({ host, port: env.imap, secure: true, auth: { user, accessToken }, tls, logger: false });
        const seen = {};
        await client.connect();
        seen.gmail = client.capabilities.has('X-GM-EXT-1');
        seen.special = (await client.list()).filter(box => box.specialUse).map(box => box.specialUse).sort();
        seen.status = await client.status('INBOX', { messages: true, unseen: true, highestModseq: true });
        const lock = await client.getMailboxLock('INBOX');
        seen.exists = client.mailbox.exists;
        seen.search = await client.search({ seen: false }, { uid: true });
        seen.raw = await client.search({ gmraw: 'has:attachment' }, { uid: true });
        const one = await client.fetchOne(5, { uid: true, flags: true, envelope: true, bodyStructure: true, labels: true, threadId: true, source: true, size: true });
        seen.subject = one.envelope.subject;
        seen.labels = [...one.labels].sort();
        seen.source = one.source.length === one.size;
        seen.parts = one.bodyStructure.childNodes.length;
        const part = await client.download(5, '2');
        let size = 0; for await (const chunk of part.content) size += chunk.length;
        seen.download = size;
        seen.flagged = await client.messageFlagsAdd({ uid: '2' }, ['\\\\Flagged'], { uid: true });
        seen.labelled = await client.messageFlagsAdd({ uid: '2' }, ['Label'], { uid: true, useLabels: true });
        await client.mailboxCreate('Neu/Ünï');
        seen.copied = (await client.messageCopy('2', 'Neu/Ünï', { uid: true })).uidMap.get(2);
        seen.moved = (await client.messageMove('3', '[Gmail]/Trash', { uid: true })).uidMap.get(3);
        seen.appended = (await client.append('INBOX', 'Subject: new\\r\\n\\r\\nx', ['\\\\Seen'])).uid;
        const idle = client.idle();
        await client.noop();
        seen.deleted = await client.messageDelete('4', { uid: true });
        lock.release();
        await client.mailboxDelete('Neu/Ünï');
        await client.logout();
        console.log(JSON.stringify(seen, (key, value) => typeof value === 'bigint' ? Number(value) : value));
        """,
    )
    assert seen["gmail"]
    assert {"\\All", "\\Drafts", "\\Flagged", "\\Junk", "\\Sent", "\\Trash"} <= set(seen["special"])
    assert (seen["status"]["messages"], seen["status"]["unseen"], seen["exists"]) == (5, 4, 5)
    assert seen["search"] == [2, 3, 4, 5]
    assert seen["raw"] == [5]
    assert (seen["subject"], seen["labels"], seen["source"], seen["parts"], seen["download"]) == ("with attachment", ["Work"], True, 2, 200)
    assert (seen["flagged"], seen["labelled"], seen["copied"], seen["moved"], seen["appended"], seen["deleted"]) == (
        True,
        True,
        1,
        1,
        6,
        True,
    )
    assert account.messages[1].labels == {"\\Inbox", "\\Starred", "Label"}
    assert account.messages[2].labels == {"\\Trash"}
    assert account.messages[3].labels == set()


@pytest.mark.skipif(not _found("nodemailer"), reason="node or its module nodemailer is not installed")
def test_sessions_of_nodemailer(server, account, tmp_path):
    seen = run(
        server,
        account,
        tmp_path,
        """
        const nodemailer = require('nodemailer');
        const { host, user, accessToken } = env;
        const seen = [];
        for (const [port, secure] of [[env.smtp, true], [env.submission, false]]) {
            const transport = nodemailer.createTransport({ host, port, secure, requireTLS: true, pool: true, tls, auth: { type: 'OAuth2', user, accessToken } });
            seen.push(await transport.verify());
            const one = await transport.sendMail({ from: user, to: 'a@example.org, b@example.org', subject: 'one', text: '.dot' });
            seen.push(one.accepted.length, one.response.slice(0, 12));
            const two = await transport.sendMail({ from: user, to: 'a@example.org', bcc: 'hidden@example.org', subject: 'Grüße', html: '<b>x</b>',
                attachments: [{ filename: 'a.txt', content: 'x'.repeat(5000) }] });
            seen.push(two.envelope.to.length);
            for (let number = 0; number < 3; number++) {
                const more = await transport.sendMail({ from: user, to: 'a@example.org', subject: 'more ' + number, text: 'x' });
                seen.push(more.accepted.length);
            }
            transport.close();
        }
        const bad = nodemailer.createTransport({ host, port: env.smtp, secure: true, tls, auth: { type: 'OAuth2', user, accessToken: 'bad' } });
        try { await bad.verify(); seen.push('let in'); } catch (error) { seen.push(error.responseCode); }
        console.log(JSON.stringify(seen));
        """,
    )
    assert seen == [True, 2, "250 2.0.0 OK", 2, 1, 1, 1] * 2 + [535]
    assert [record.recipients for record in account.ledger.submissions] == [
        ("a@example.org", "b@example.org"),
        ("a@example.org", "hidden@example.org"),
        *[("a@example.org",)] * 3,
    ] * 2
    assert b"\r\n\r\n.dot" in account.ledger.submissions[0].raw
    assert len(account.messages) == 15
