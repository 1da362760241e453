"""The root filesystem of the container that the builder runs in, lent to one stage after another.

::

    protected   what is never touched: the builder's own directory, mounts, the context, outputs
    moving      directories moved by rename where that is possible, around what is protected
    shifted     directories with mounts in them, out of an image's way
    journal     what is under way, so that the next start can put things back after a SIGKILL
    container   the container's files moved aside, stages taking turns, everything put back at the end
    stage_files where the files of one stage are now
    context     the build context restored where commands have changed it
    whole       directories that one layer alone has made
    unpacking   a base image's files put in their places
    rootfs      the RootFs of a stage
"""
