"""Says, as JSON, what the container looks like from inside."""

import json
import os
import pathlib
import pwd
import subprocess

print(
    json.dumps(
        {
            "user": pwd.getpwuid(os.getuid()).pw_name,
            "directory": os.getcwd(),
            "greeting": os.environ["GREETING"],
            "made": pathlib.Path("made").read_text(),
            "capabilities": subprocess.run(
                ["/usr/sbin/getcap", "/artifacts/capable", "/usr/local/bin/net"], capture_output=True, text=True
            ).stdout.split(),
            "same file": os.path.samefile("/artifacts/first", "/artifacts/second"),
        }
    )
)
