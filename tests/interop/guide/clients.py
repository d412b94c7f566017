"""Mail programs that people use, in a root of their own, with the authority's certificate as the only one they trust."""

import network
from root import Root

PLACE = "/tmp/guide"
NODE = """
const mailer = require('nodemailer');
const [port, secure, user, pass, from, to, subject] = process.argv.slice(2);
const tls = { ca: require('fs').readFileSync('/tmp/guide/ca.pem') };
const transport = mailer.createTransport({ host: 'smtp.wac.test', port: +port, secure: secure === 'tls', requireTLS: true, auth: { user, pass }, tls });
transport.sendMail({ from, to, subject, text: 'Hello.\\n' })
  .then((info) => console.log(info.response))
  .catch((error) => { console.error(error.response || error); process.exit(1); });
"""


class Clients:
    """nodemailer and swaks."""

    def __init__(self, work, authority):
        self.root = Root("smtp-clients", work, {}, network.DNS)
        self.root.write("etc/hosts", f"127.0.0.1 localhost\n{network.HOUSE} smtp.wac.test\n")
        self.root.directory(PLACE.strip("/"))
        self.root.write(f"{PLACE.strip('/')}/send.js", NODE)
        with open(authority, encoding="ascii") as file:
            self.root.write(f"{PLACE.strip('/')}/ca.pem", file.read())

    def nodemailer(self, port, user, password, sender, to, subject):
        """What it was answered; a fault if it could not send."""
        way = "tls" if port == 465 else "starttls"
        ended = self.root.run("/usr/bin/node", f"{PLACE}/send.js", str(port), way, user, password, sender, to, subject)
        said = (ended.stdout + ended.stderr).decode(errors="replace").strip()
        return said, None if ended.returncode == 0 else f"exit code {ended.returncode}\n{said}"

    def swaks(self, *options):
        ended = self.root.run("swaks", "--server", "smtp.wac.test", *options)
        return ended.returncode, (ended.stdout + ended.stderr).decode(errors="replace")
