"""``builder manifest``: indexes of images that are in registries.

::

    flags    the flags of create, push and inspect
    command  which of these is meant
    options  what they have in common, from arguments to types
    create   an index of named images
    push     an index by a template for their names (from-args), or by a YAML file (from-spec)
    spec     that file
    template that template
    inspect  what a reference is
"""
