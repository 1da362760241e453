"""The program that runs commands: a helper process, and per command a supervisor, an init and the command.

::

    builder ── helper          forked once, before there are threads; forks a supervisor for each command
                 └─ supervisor  makes the namespaces and mounts, waits, ends everything if the builder says so
                      └─ init    process 1 of the pid namespace: mounts /proc, pivots, reaps
                           └─ command

The builder holds a socket to each supervisor; when that is closed at either end the command is over. Whoever is
killed takes those below along, so nothing outlives the builder.
"""
