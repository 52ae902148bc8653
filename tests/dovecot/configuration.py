"""What does Dovecot 2.3 have to be told so that it runs whole, unprivileged, in one folder, and believes our tokens?"""

from __future__ import annotations

import base64
import grp
import os
import pwd
from dataclasses import dataclass
from pathlib import Path

from tests.support.ca import CertificateFiles

PORTS = ("imap", "imaps", "pop3", "pop3s", "submission", "submissions", "relay")


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom every process of the server runs as, and who owns the mail: never root."""

    uid: int
    gid: int

    @classmethod
    def choose(cls) -> Identity:
        """This process's own user; for root, which no mail server takes for a mail user, ``nobody``."""
        if os.geteuid() != 0:
            return cls(os.geteuid(), os.getegid())
        nobody = pwd.getpwnam("nobody")
        return cls(nobody.pw_uid, nobody.pw_gid)

    @property
    def user(self) -> str:
        return pwd.getpwuid(self.uid).pw_name

    @property
    def group(self) -> str:
        return grp.getgrgid(self.gid).gr_name


def write(folder: Path, identity: Identity, ports: dict[str, int], certificate: CertificateFiles, key: bytes) -> Path:
    """Write the configuration and the token key into ``folder``; the path of the main file."""
    keys = folder / "keys" / "default" / "HS256"
    keys.mkdir(parents=True, exist_ok=True)
    (keys / "default").write_bytes(base64.b64encode(key))
    oauth2 = folder / "oauth2.conf.ext"
    oauth2.write_text(
        f"introspection_mode = local\nlocal_validation_key_dict = fs:posix:prefix={folder}/keys/\n"
        "username_attribute = email\nusername_format = %u\n"
    )
    main = folder / "dovecot.conf"
    main.write_text(_main(folder, identity, ports, certificate, oauth2))
    return main


def _listener(name: str, ports: dict[str, int]) -> str:
    """One protocol's login service with its plain and its TLS port; one process serves all logins, which saves an exec for each.

    The listeners carry Dovecot's own names, so that none opens on its default port.
    """
    tls = f"{name}s"
    return f"""
service {name}-login {{
  chroot =
  service_count = 0
  process_min_avail = 1
  process_limit = 4
  client_limit = 1000
  inet_listener {name} {{
    address = 127.0.0.1
    port = {ports[name]}
  }}
  inet_listener {tls} {{
    address = 127.0.0.1
    port = {ports[tls]}
    ssl = yes
  }}
}}
service {name} {{
  process_limit = 512
}}
"""


def _main(folder: Path, identity: Identity, ports: dict[str, int], certificate: CertificateFiles, oauth2: Path) -> str:
    unchrooted = "".join(f"service {name} {{\n  chroot =\n}}\n" for name in ("anvil", "stats"))
    listeners = "".join(_listener(name, ports) for name in ("imap", "pop3", "submission"))
    return f"""# Rootless: every process runs as the user that starts the master.
protocols = imap pop3 submission
listen = 127.0.0.1
base_dir = {folder}/run
state_dir = {folder}/state
instance_name = {folder.name}
log_path = {folder}/dovecot.log
log_timestamp = "%Y-%m-%d %H:%M:%S.%{{usecs}} "
auth_verbose = yes
verbose_proctitle = no

default_internal_user = {identity.user}
default_internal_group = {identity.group}
default_login_user = {identity.user}
default_process_limit = 512
default_client_limit = 4000
default_vsz_limit = 1G
first_valid_uid = {identity.uid}
last_valid_uid = {identity.uid}
first_valid_gid = {identity.gid}

ssl = yes
ssl_cert = <{certificate.chain}
ssl_key = <{certificate.key}
ssl_dh =
ssl_min_protocol = TLSv1.2

auth_mechanisms = plain login xoauth2 oauthbearer
auth_failure_delay = 0
auth_cache_size = 0
disable_plaintext_auth = no
passdb {{
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = {oauth2}
}}
userdb {{
  driver = static
  args = uid={identity.uid} gid={identity.gid} home={folder}/home/%u allow_all_users=yes
}}

mail_location = maildir:{folder}/mail/%u
mail_fsync = never
mailbox_list_index = yes
namespace inbox {{
  inbox = yes
  separator = /
  mailbox Archive {{
    special_use = \\Archive
  }}
  mailbox Drafts {{
    special_use = \\Drafts
    auto = create
  }}
  mailbox Sent {{
    special_use = \\Sent
    auto = create
  }}
  mailbox Trash {{
    special_use = \\Trash
    auto = create
  }}
}}
mail_max_userip_connections = 1000

submission_relay_host = 127.0.0.1
submission_relay_port = {ports["relay"]}
submission_relay_ssl = no
submission_relay_trusted = no
hostname = localhost
{unchrooted}{listeners}
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service auth {{
  unix_listener auth-userdb {{
    mode = 0600
  }}
}}
service auth-worker {{
  user = {identity.user}
}}
"""
