"""Commands run in the container that the builder itself is in: no namespace, no mount, no change of root.

::

    surroundings  whether this is a container, and what in-place builds lack here
    preload       everything that is needed later, loaded before the first file of the container is moved
    helper        the process that starts commands, forked before there are threads
    supervisor    one command: starts it, ends what it leaves behind
    mounts        RUN --mount without mounts: files put in place and taken away again
    memory        a secret in memory for the time of a command
    devices       what a command leaves in /dev taken away
    credentials   config.json out of the way while a command runs
    keeper        the process that puts it back if the builder is killed
    isolation     the Isolation made of these
"""
