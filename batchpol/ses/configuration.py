"""What is wrong with an AWS configuration, in words that name the profile and the setting, and what to do about it.

botocore's own words name the class that gave up, the number of an error of the system, or nothing at all.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import botocore.exceptions as bx

from batchpol.model import ACCOUNT_ID, shown
from batchpol.model.errors import AccessRefused, UsageError

_AGAIN = "then run the same command again"


@dataclass(frozen=True, slots=True)
class Setup:
    """Which profile is in use, and what the AWS configuration files say in all of them."""

    profile: str = ""
    profiles: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @classmethod
    def of(cls, session: Any) -> Setup:
        """What a session of botocore goes by."""
        return cls(session.get_config_variable("profile") or "default", session.full_config.get("profiles") or {})

    def chain(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """The profile in use, then the one that it takes its credentials from, and so on."""
        name, seen = self.profile, set[str]()
        while name in self.profiles and name not in seen:
            seen.add(name)
            yield name, self.profiles[name]
            name = str(self.profiles[name].get("source_profile") or "")

    def owner(self, setting: str) -> str:
        """The profile that has a setting, empty if none in use has it."""
        return next((name for name, said in self.chain() if said.get(setting)), "")

    def holder(self, file: str) -> str:
        """The setting of a profile, or the variable, that this file's name stands in; empty if there is none."""
        for name, said in self.chain() if file else ():
            for setting, text in said.items():
                if isinstance(text, str) and text.lstrip("\"'").startswith(file):
                    return f"{setting} of profile {name}"
        return next((name for name, text in os.environ.items() if file and name[:4] == "AWS_" and text == file), "")

    def called(self, setting: str = "") -> str:
        """The profile, or the one that has this setting, for a sentence."""
        return f"profile {self.owner(setting) or self.profile}" if self.profile else "the configuration"

    def login(self, command: str = "") -> str:
        """How the credentials of this profile are renewed by hand."""
        owner = self.owner("sso_session") or self.owner("sso_start_url")
        if not command:
            command = "aws sso login" if owner else "aws login" if self.owner("login_session") else ""
        if not command:
            return f"renew the credentials of {self.called()}" if self.profile else "renew the credentials"
        owner = owner or self.owner("login_session") or self.profile
        return f"log in again with: {command}" + (f" --profile {shlex.quote(owner)}" if owner else "")


NOWHERE = Setup()
"""Of whoever has a client already: no profile is known."""


class _Said(NamedTuple):
    """What an exception means: the code of ours, and what to do. ``hint`` is asked with the profile and its text."""

    code: str
    hint: Callable[[Setup, str], str]


def _logs_in(command: str) -> Callable[[Setup, str], str]:
    return lambda setup, _: f"{setup.login(command)}, {_AGAIN}"


def _hint(text: str) -> Callable[[Setup, str], str]:
    """With ``{profile}`` filled in."""
    return lambda setup, _: text.format(profile=setup.called())


_SETTING = re.compile(
    r"\b(source_profile|credential[_ ]source|credential_process|sso_\w+|sso-session|role_arn|aws_\w+|AWS_\w+)\b"
)


def _mend(setup: Setup, text: str) -> str:
    """Mend the setting that a text of botocore's speaks of."""
    setting = _SETTING.search(text)
    return f"mend {setting[1].replace(' ', '_')} in {setup.called()}" if setting else f"mend {setup.called()}"


_NAMED = "name a profile with `profile` or AWS_PROFILE, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
_NO_CREDENTIALS, _CONFIGURATION = "NoCredentials", "Configuration"

WORDS: Mapping[str, _Said] = {
    "SSOError": _Said(_NO_CREDENTIALS, _logs_in("aws sso login")),
    "TokenRetrievalError": _Said(_NO_CREDENTIALS, _logs_in("aws sso login")),
    "NoAuthTokenError": _Said(_NO_CREDENTIALS, _logs_in("aws sso login")),
    "LoginInsufficientPermissions": _Said(
        _NO_CREDENTIALS, _hint("give {profile} the permission signin:CreateOAuth2Token, or use another one")
    ),
    "LoginError": _Said(_NO_CREDENTIALS, _logs_in("aws login")),
    "NoCredentialsError": _Said(_NO_CREDENTIALS, _hint(_NAMED)),
    "PartialCredentialsError": _Said(
        _NO_CREDENTIALS, _hint("give the access key and the secret key in the same place, {profile} or the environment")
    ),
    "CredentialRetrievalError": _Said(
        _NO_CREDENTIALS, _hint("see whether what {profile} takes its credentials from works by itself")
    ),
    "UnknownCredentialError": _Said(_NO_CREDENTIALS, _mend),
    "UnknownTokenProviderError": _Said(_NO_CREDENTIALS, _mend),
    "MetadataRetrievalError": _Said(
        _NO_CREDENTIALS, _hint("see whether this machine or container has a role, or name a profile with `profile`")
    ),
    "RefreshWithMFAUnsupportedError": _Said(
        _NO_CREDENTIALS,
        _hint("the session that the MFA code of {profile} opened has ended: type a new one, in a new run"),
    ),
    "InfiniteLoopConfigError": _Said(_NO_CREDENTIALS, _hint("let source_profile of {profile} end at one with keys")),
    "InvalidConfigError": _Said(_CONFIGURATION, _mend),
    "ProfileNotFound": _Said(
        _CONFIGURATION, _hint("name another with `profile` or AWS_PROFILE, or make it: aws configure")
    ),
    "ConfigParseError": _Said(_CONFIGURATION, _hint("mend the file, or name another in AWS_CONFIG_FILE")),
    "ConfigNotFound": _Said(_CONFIGURATION, _hint("make the file, or name another in AWS_CONFIG_FILE")),
    "MissingDependencyException": _Said(_CONFIGURATION, _hint("pip install 'botocore[crt]', for {profile}")),
    "InvalidRegionError": _Said(_CONFIGURATION, _hint("correct `region`, AWS_REGION, or region in {profile}")),
    "NoRegionError": _Said(_CONFIGURATION, _hint("name one with `region` or AWS_REGION, or region in {profile}")),
    "BotoCoreError": _Said(_CONFIGURATION, _hint("look at {profile} and at the variables AWS_… for what it speaks of")),
}
"""By the class of botocore's exception, or the nearest one that it is a kind of."""


def explained(error: BaseException, setup: Setup) -> AccessRefused | None:
    """What is wrong with a configuration, where ``error`` came of it and before anything was sent; None where not."""
    if isinstance(error, bx.BotoCoreError):
        said = _nearest(type(error))
        text = " ".join(str(error).split())
        hint = said.hint(setup, text)
        if isinstance(error, bx.CredentialRetrievalError) and error.kwargs["provider"] == "custom-process":
            text = f"credential_process of {setup.called('credential_process')}: {error.kwargs['error_msg']}"
            hint = f"mend the program, or credential_process of {setup.called('credential_process')}"
        elif setup.profile and setup.profile not in text:
            text = f"{text} ({setup.called()})"
        return refused(text, hint, said.code)
    if isinstance(error, OSError) and (error.filename or error.errno in _REASONS):
        return _of_file(error, setup)
    if isinstance(error, EOFError):
        return mfa_wanted(setup)
    if str(error).startswith("Invalid endpoint"):
        hint = f"correct `endpoint_url`, a variable AWS_ENDPOINT_URL…, or endpoint_url in {setup.called()}"
        return refused(str(error).lower(), hint)
    if setup.owner("credential_process") and (found := _of_process(error, setup)):
        return found
    if isinstance(error, RuntimeError | ValueError | OSError):
        return refused(str(error) or type(error).__name__, WORDS["BotoCoreError"].hint(setup, ""))
    return None


_ROLE = re.compile(
    rf"arn:aws[a-z-]*:iam::(\{{account\}}|{ACCOUNT_ID}):role/([\x21-\x7e]*/)?[\w+=,.@-]{{1,64}}", re.ASCII
)
_EXTERNAL_ID = re.compile(r"[\w+=,.@:/-]{2,1224}", re.ASCII)


def require_role(arn: str, external_id: str | None) -> None:
    """Refuse a role that cannot be one, before anything is asked (IAM User Guide; STS API Reference, AssumeRole).

    Raises:
        UsageError: with the mend.
    """
    if not _ROLE.fullmatch(arn):
        raise UsageError(f"`role_arn` {shown(arn)} is no ARN of a role", hint=_role_mend(arn))
    if external_id is not None and not _EXTERNAL_ID.fullmatch(external_id):
        hint = "it has 2 to 1,224 characters, of A-Z a-z 0-9 _ + = , . @ : / -"
        raise UsageError(f"`external_id` {shown(external_id)} cannot be one", hint=hint)


def _role_mend(arn: str) -> str:
    """What to write instead, where that can be told; a name alone is of a role in each account."""
    text = re.sub(r"[{<$\[(]+\s*account(_?id)?\s*[}>\])]+", "{account}", arn.strip(), flags=re.IGNORECASE)
    text = re.sub(r"^(arn:aws[a-z-]*:iam):(?=[{0-9])", r"\1::", text)
    text = re.sub(r"^(arn:aws[a-z-]*):sts:(.*):assumed-role/([^/]+).*", r"\1:iam:\2:role/\3", text)
    if re.fullmatch(r"(role/)?[\w+=,.@/-]+", text):
        text = f"arn:aws:iam::{{account}}:role/{text.removeprefix('role/').strip('/')}"
    return f"write {text}" if _ROLE.fullmatch(text) else "the form is arn:aws:iam::{account}:role/NAME"


def refused(text: str, hint: str, code: str = _CONFIGURATION) -> AccessRefused:
    """No request can be made until the configuration is mended."""
    what = "no usable credentials" if code == _NO_CREDENTIALS else "no request can be made"
    return AccessRefused(f"{what}: {text}", code=code, hint=hint)


def mfa_wanted(setup: Setup) -> AccessRefused:
    """A code is wanted of somebody who is not there."""
    text = f"{setup.called('mfa_serial')} asks for an MFA code (mfa_serial), and there is no terminal to type it on"
    hint = (
        "give temporary credentials: aws sts get-session-token, in AWS_ACCESS_KEY_ID and the like; or another profile"
    )
    return refused(text, hint, _NO_CREDENTIALS)


def _nearest(kind: type[BaseException]) -> _Said:
    return next(WORDS[it.__name__] for it in kind.__mro__ if it.__name__ in WORDS)


_REASONS = {
    errno.ENOENT: "there is no such file",
    errno.EACCES: "it may not be read or executed",
    errno.EISDIR: "it is a folder",
    errno.ENOTDIR: "a part of its path is no folder",
    errno.ENOEXEC: "it is no program (a script begins with #!)",
}


def _of_file(error: OSError, setup: Setup) -> AccessRefused:
    """A file that a setting names: a program or a token."""
    name = str(error.filename or _program(setup))  # uvloop does not say which
    where = setup.holder(name) or f"what {setup.called()} names"
    why = _REASONS.get(error.errno or 0) or (error.strerror or str(error)).lower()
    if name.startswith("~"):
        why, hint = "~ is not replaced there", f"write the whole path in {where}"
    elif error.errno == errno.EACCES and where.startswith("credential_process"):
        hint = f"make it executable (chmod +x {shlex.quote(name)}), or mend {where}"
    else:
        hint = f"mend {where}"
    return refused(f"{where}, {name}: {why}" if name else f"{where}: {why}", hint, _NO_CREDENTIALS)


def _program(setup: Setup) -> str:
    """The program that gives credentials, empty without one."""
    command = next((str(said["credential_process"]) for _, said in setup.chain() if said.get("credential_process")), "")
    return next(iter(command.split()), "").strip("\"'")


def _of_process(error: BaseException, setup: Setup) -> AccessRefused | None:
    """What a program printed, or how it is called. Its words are never shown: they may hold credentials."""
    where = f"credential_process of {setup.called('credential_process')}"
    if isinstance(error, json.JSONDecodeError | UnicodeDecodeError | AttributeError | TypeError):
        hint = f"let the program of {where} print nothing but the credentials, as JSON; other words to standard error"
        return refused(f"{where} prints something else than one JSON object", hint, _NO_CREDENTIALS)
    if isinstance(error, RuntimeError):
        return refused(f"{where} gives keys that have ended", "mend the program, or set the clock", _NO_CREDENTIALS)
    if isinstance(error, TimeoutError):
        hint = f"see whether the program of {where} works by itself, and asks nothing"
        return refused(f"{where} gave no credentials within the time allowed", hint, _NO_CREDENTIALS)
    if isinstance(error, ValueError) and str(error) in ("No closing quotation", "No escaped character"):
        return refused(f"{where}: {str(error).lower()}", f"mend the command line of {where}", _NO_CREDENTIALS)
    if isinstance(error, ValueError):
        hint = f"let the program of {where} print a time like 2026-01-31T23:59:59Z as Expiration"
        return refused(f"{where} gives keys that end at no time that there is", hint, _NO_CREDENTIALS)
    return None
