"""Write what is installed as a CycloneDX 1.6 bill of materials: `sbom.py LOCK [BILL]`.

The lock has names, versions, hashes of every file, and what needs what, so that this works
offline, and the same lock gives the same bill to the byte. https://cyclonedx.org/docs/1.6/json/
"""

from __future__ import annotations

import json
import re
import sys
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PIN = re.compile(r"(?P<name>[A-Za-z0-9._-]+)(\[[^]]*\])?==(?P<version>[^ ;\\]+)")
HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
NEEDED_BY = re.compile(r" +#(?: via)? +(?!via$)(?P<name>-r|[A-Za-z0-9][A-Za-z0-9._-]*)")
PROJECT, NEEDED_BY_US = "regulars", "-r"


@dataclass
class Package:
    """One line of the lock with what stands below it."""

    name: str
    version: str
    hashes: list[str] = field(default_factory=list)
    needed_by: list[str] = field(default_factory=list)

    @property
    def purl(self) -> str:
        """https://github.com/package-url/purl-spec, which writes names as PEP 503 does."""
        return f"pkg:pypi/{re.sub(r'[-_.]+', '-', self.name).lower()}@{self.version}"


def read_lock(text: str) -> list[Package]:
    """The packages of a lock. Raises `ValueError` for one that is not pinned or has no hash."""
    packages: list[Package] = []
    for line in text.splitlines():
        if pin := PIN.match(line):
            packages.append(Package(pin["name"], pin["version"]))
        elif line and not line.startswith((" ", "#")):
            raise ValueError(f"not pinned: {line}")
        elif found := HASH.search(line):
            packages[-1].hashes.append(found[1])
        elif packages and (parent := NEEDED_BY.match(line)):
            packages[-1].needed_by.append(parent["name"])
    for package in packages:
        if not package.hashes:
            raise ValueError(f"without a hash: {package.name}")
    return packages


def bill(packages: list[Package]) -> dict[str, Any]:
    """The bill of materials, without a time: it changes only with the lock."""
    content = json.dumps([(package.purl, package.hashes) for package in packages])
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, content)}",
        "version": 1,
        "metadata": {
            "component": {"type": "application", "bom-ref": PROJECT, "name": PROJECT},
        },
        "components": [
            {
                "type": "library",
                "bom-ref": package.purl,
                "name": package.name,
                "version": package.version,
                "purl": package.purl,
                "hashes": [{"alg": "SHA-256", "content": one} for one in package.hashes],
            }
            for package in packages
        ],
        "dependencies": [
            {
                "ref": ref,
                "dependsOn": [one.purl for one in packages if name in one.needed_by],
            }
            for ref, name in [
                (PROJECT, NEEDED_BY_US),
                *((one.purl, one.name) for one in packages),
            ]
        ],
    }


def main() -> None:
    """Write the bill to the second argument, or to the standard output."""
    lock, *target = sys.argv[1:]
    text = json.dumps(bill(read_lock(Path(lock).read_text())), indent=1) + "\n"
    if target:
        Path(target[0]).write_text(text)
    else:
        sys.stdout.write(text)


if __name__ == "__main__":
    main()
