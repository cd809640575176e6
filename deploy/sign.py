"""List a model's files, sign the list with a key of your own, or check both.

    ssh-keygen -t ed25519 -f KEY                             a key, once; keep it off the cluster
    python -m deploy.sign MODEL                              write MODEL/SHA256SUMS
    python -m deploy.sign MODEL --key KEY                    write it, and MODEL/SHA256SUMS.sig
    python -m deploy.sign MODEL --verify --signers SIGNERS   check the signature, then every file

MODEL is a folder in diffusers layout, or any other with weights (a run's lora/). SIGNERS is an
allowed-signers file of OpenSSH, one line a person: ``NAME namespaces="dgx-pixels-model" ssh-ed25519
AAAA...``. The signing is ``ssh-keygen -Y``, no cryptography of ours; needs OpenSSH 8.9 or later.
"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

from pipeline.core.errors import InputError, one_line_errors
from pipeline.models.sums import NAME, SIGNATURE, check_sums, write_sums

NAMESPACE = "dgx-pixels-model"
"""What a signature is for: one made over a commit or a letter does not count."""


def sign(folder: Path, key: Path) -> Path:
    """List the files and sign the list; return the signature.

    Raises:
        InputError: The folder or the key is not there, or the key does not sign.
    """
    if not key.is_file():
        raise InputError(f"--key: {key} does not exist; make one: ssh-keygen -t ed25519 -f {key}")
    listed = write_sums(folder)
    signature = folder / SIGNATURE
    # ssh-keygen asks before it writes over one.
    signature.unlink(missing_ok=True)
    done = _keygen("sign", "-f", str(key), "-n", NAMESPACE, str(listed))
    if done.returncode or not signature.is_file():
        raise InputError(f"--key: {key} does not sign: {_told(done)}")
    return signature


def verify(folder: Path, signers: Path) -> str:
    """Check the list's signature, then the files against the list; return who signed.

    Raises:
        InputError: There is no signature, it is of none of the signers, or a file differs.
    """
    listed, signature = folder / NAME, folder / SIGNATURE
    for file in (signers, listed, signature):
        if not file.is_file():
            raise InputError(f"{file}: no such file")
    found = _keygen("find-principals", "-s", str(signature), "-f", str(signers))
    who = found.stdout.decode().splitlines()
    if found.returncode or not who:
        raise InputError(f"{signature}: made with a key that {signers} does not list")
    options = ["-f", str(signers), "-I", who[0], "-n", NAMESPACE, "-s", str(signature)]
    done = _keygen("verify", *options, stdin=listed.read_bytes())
    if done.returncode:
        raise InputError(f"{signature}: does not hold for {listed}: {_told(done)}")
    check_sums(folder)
    return who[0]


def _keygen(action: str, *arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    program = shutil.which("ssh-keygen")
    if program is None:
        raise InputError("ssh-keygen: not found; install the OpenSSH client")
    return subprocess.run(
        [program, "-Y", action, *arguments], input=stdin, capture_output=True, check=False
    )


def _told(done: subprocess.CompletedProcess[bytes]) -> str:
    lines = (done.stderr or done.stdout).decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else f"ssh-keygen ended with {done.returncode}"


@one_line_errors
def main() -> int:
    """List, sign or check."""
    parser = argparse.ArgumentParser(
        prog="python -m deploy.sign", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("model", type=Path, help="model folder")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--key", type=Path, help="private key to sign with")
    what.add_argument("--verify", action="store_true", help="check instead of write")
    parser.add_argument("--signers", type=Path, help="whose signatures --verify takes")
    args = parser.parse_args()
    if args.verify != (args.signers is not None):
        raise InputError("--verify and --signers: give both or neither")
    if args.verify:
        print(f"{args.model}: whole, signed by {verify(args.model, args.signers)}")
    else:
        print(sign(args.model, args.key) if args.key else write_sums(args.model))
    return 0


if __name__ == "__main__":
    sys.exit(main())
