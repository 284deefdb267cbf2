"""A mail server for tests, based on aiosmtpd. It stores the emails that it accepts, and can fail at
each step of a conversation."""

import asyncio
import email
import email.policy
import logging
import ssl
import threading

from aiosmtpd.smtp import SMTP, AuthResult

USER = "miniback@example.com"
PASSWORD = "s3cret:/@#%"

logging.getLogger("mail.log").setLevel(logging.CRITICAL)

# The steps of a conversation at which the server can fail.
STEPS = ["connect", "EHLO", "AUTH", "MAIL", "RCPT", "DATA", "content"]


class ReceivedMail:
    """An email that the server accepted."""

    def __init__(self, envelope):
        self.sender, self.recipients = envelope.mail_from, envelope.rcpt_tos
        self.raw = envelope.original_content
        policy = email.policy.default.clone(raise_on_defect=True)
        self.message = email.message_from_bytes(self.raw, policy=policy)
        # Headers are parsed when they are read.
        for name, value in self.message.items():
            if value.defects:
                raise AssertionError(f"{name}: {value.defects}")

    def __getitem__(self, name):
        """Returns a header that occurs exactly once."""
        values = self.message.get_all(name, [])
        if len(values) != 1:
            raise AssertionError(f"{name} occurs {len(values)} times:\n{self.raw.decode()}")
        return str(values[0])

    def text(self, subtype):
        """Returns the content of the plain-text or HTML part, with `\\n` as the line break."""
        parts = [part for part in self.message.walk() if part.get_content_type() == f"text/{subtype}"]
        if len(parts) != 1:
            raise AssertionError(f"{len(parts)} parts of text/{subtype}")
        return parts[0].get_content().replace("\r\n", "\n")


class MailServer:
    """A mail server on its own thread."""

    def __init__(self, host, certificate=None, key=None, tls_from_start=False, **options):
        self.received = []
        self.commands = []
        # The step at which the server fails, and a reply, "close", or "hang".
        self.fault = None
        self.transports = set()
        self.loop = asyncio.new_event_loop()
        context = None
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate, key)
        server = self

        class Connection(SMTP):
            async def fail(self, step):
                """Fails at a step, if the test has requested it. Returns whether the step is finished."""
                server.commands.append(step)
                if not server.fault or server.fault[0] != step:
                    return False
                action = server.fault[1]
                if action == "hang":
                    await asyncio.sleep(3600)
                elif action == "close":
                    self.transport.abort()
                    await asyncio.sleep(3600)
                else:
                    await self.push(action)
                return True

            def connection_made(self, transport):
                server.transports.add(transport)
                super().connection_made(transport)

            def connection_lost(self, error):
                server.transports.discard(self.transport)
                super().connection_lost(error)

            async def _handle_client(self):
                if not await self.fail("connect"):
                    await super()._handle_client()
                elif self.transport:
                    self.transport.close()

            async def smtp_EHLO(self, argument):
                if not await self.fail("EHLO"):
                    await super().smtp_EHLO(argument)

            async def smtp_AUTH(self, argument):
                if not await self.fail("AUTH"):
                    await super().smtp_AUTH(argument)

            async def smtp_MAIL(self, argument):
                if not await self.fail("MAIL"):
                    await super().smtp_MAIL(argument)

            async def smtp_RCPT(self, argument):
                if not await self.fail("RCPT"):
                    await super().smtp_RCPT(argument)

            async def smtp_DATA(self, argument):
                if not await self.fail("DATA"):
                    await super().smtp_DATA(argument)

        class Handler:
            async def handle_DATA(self, connection, _session, envelope):
                server.commands.append("content")
                if server.fault and server.fault[0] == "content":
                    action = server.fault[1]
                    if action == "hang":
                        await asyncio.sleep(3600)
                    if action == "close":
                        connection.transport.abort()
                        await asyncio.sleep(3600)
                    return action
                server.received.append(ReceivedMail(envelope))
                return "250 2.0.0 Queued"

        def authenticate(_server, _session, _envelope, _mechanism, data):
            is_valid = data.login == USER.encode() and data.password == PASSWORD.encode()
            return AuthResult(success=is_valid, handled=False)

        def create_connection():
            return Connection(
                Handler(),
                hostname="mail.example.com",
                loop=self.loop,
                tls_context=None if tls_from_start else context,
                authenticator=authenticate,
                auth_require_tls=bool(context) and not tls_from_start,
                **options,
            )

        listening = self.loop.create_server(
            create_connection, host, 0, ssl=context if tls_from_start else None
        )
        self.listener = self.loop.run_until_complete(listening)
        self.port = self.listener.sockets[0].getsockname()[1]
        threading.Thread(target=self.loop.run_forever, daemon=True).start()

    def drop_connections(self):
        """Closes all connections, so that the next email needs a new one."""

        def close():
            for transport in list(self.transports):
                transport.abort()

        self.loop.call_soon_threadsafe(close)

    def find(self, text):
        """Returns the accepted emails whose plain text contains `text`."""
        return [mail for mail in list(self.received) if text in mail.text("plain")]
