import json
from test_multiarch_builds import *
from support.images import Blob, Item, OciLayout, layer
from support.multiarch import push_layout
def show(name, o):
    print(f"\n=== {name}: {o.status}\n{o.stdout.strip()[-300:]}\n{o.stderr.strip()[-900:]}")
def test_all(user_builder, registry, scratch, make_context, repository, multiarch):
    t=registry.reference(repository)
    lay=OciLayout(scratch/"l"); 
    def img(arch, text, **extra):
        return lay.image([Blob.of(layer([Item(path="for", data=text.encode())]))], {"Env":["A="+text]}, arch)
    a=img("amd64","amd64"); b=img("arm64","arm64v8"); c=img("arm64","arm64plain"); w=img("amd64","win"); v5=img("arm","armv5"); v6=img("arm","armv6"); att=img("amd64","att")
    idx=lay.index([
        w|{"platform":{"os":"windows","architecture":"amd64","os.version":"10.0.1"}},
        att|{"platform":{"os":"unknown","architecture":"unknown"},"annotations":{"vnd.docker.reference.type":"attestation-manifest","vnd.docker.reference.digest":a["digest"]}},
        a|{"platform":{"os":"linux","architecture":"amd64","os.version":"1.2"}},
        b|{"platform":{"os":"linux","architecture":"arm64","variant":"v8"}},
        c|{"platform":{"os":"linux","architecture":"arm64"}},
        v5|{"platform":{"os":"linux","architecture":"arm","variant":"v5"}},
        v6|{"platform":{"os":"linux","architecture":"arm","variant":"v6"}},
        ])
    lay.tag(idx,"x")
    base=push_layout(lay.path,"x",registry,f"base/{repository}:1","--all")
    def build(name, df, *args, files=None):
        ctx=make_context({"Dockerfile":df,"f":"x",**(files or {})})
        o=user_builder.build(ctx,*args); show(name,o); return o
    def idxof(tag):
        m=registry.manifest(repository,tag); 
        if "manifests" in m: print("   index", children(m)); ms=[registry.manifest(repository,x["digest"]) for x in m["manifests"]]
        else: ms=[m]
        for x in ms:
            cfg=json.loads(registry.blob(repository,x["config"]["digest"])); print("   ",cfg["os"],cfg["architecture"],cfg.get("variant"),cfg.get("os.version"),cfg["config"].get("Env"),cfg["config"].get("Labels"))
    F=f"FROM {base}\nCOPY f /\n"
    for p in ["linux/amd64,linux/arm64/v8,linux/arm/v7,linux/arm/v5","Linux/ARM64 , linux/x86_64","arm64","linux/arm64/v9"]:
        o=build("P "+p,F,f"--platform={p}",f"--destination={t}:1")
        if o.status==0: idxof("1")
    build("dup",F,"--platform=linux/arm64,linux/arm64/v8",f"--destination={t}:2")
    build("custom alias list",F,"--custom-platform=linux/arm64","--custom-platform=linux/amd64",f"--destination={t}:3"); idxof("3")
    build("both flags",F,"--custom-platform=linux/arm64","--platform=linux/amd64",f"--destination={t}:4"); 
    build("empty",F,"--platform=",f"--destination={t}:5")
    build("comma",F,"--platform=linux/amd64,,linux/arm64,",f"--destination={t}:5")
    build("windows",F,"--platform=windows/amd64",f"--destination={t}:6"); idxof("6")
    build("no such",F,"--platform=linux/s390x,linux/amd64",f"--destination={t}:7")
    build("malformed",F,"--platform=linux//amd64",f"--destination={t}:7")
    build("TARGETPLATFORM",f"FROM --platform=$TARGETPLATFORM {base}\nARG TARGETPLATFORM\nARG TARGETVARIANT\nLABEL t=$TARGETPLATFORM v=${{TARGETVARIANT:-none}}\n","--platform=linux/arm/v7,linux/amd64,linux/arm64/v8",f"--destination={t}:8"); idxof("8")
    build("global TARGETARCH",f"ARG TARGETARCH\nARG X=for-${{TARGETARCH}}\nFROM {base}\nARG X\nARG TARGETARCH\nLABEL x=$X a=$TARGETARCH\n","--platform=linux/arm64,linux/amd64",f"--destination={t}:9"); idxof("9")
    build("stage by arch",f"ARG TARGETARCH\nFROM {base} AS amd64\nLABEL s=one\nFROM {base} AS arm64\nLABEL s=two\nFROM ${{TARGETARCH}}\nLABEL z=1\n","--platform=linux/arm64,linux/amd64",f"--destination={t}:10"); idxof("10")
    build("override TARGETARCH",f"FROM {base}\nARG TARGETARCH\nLABEL a=$TARGETARCH\n","--platform=linux/arm64,linux/amd64","--build-arg=TARGETARCH=foo",f"--destination={t}:11"); idxof("11")
    build("digest files",F,"--platform=linux/arm64,linux/amd64",f"--digest-file={user_builder.home}/d",f"--image-name-tag-with-digest-file={user_builder.home}/n",f"--destination={t}:12",f"--destination={t}/other:12")
    print((user_builder.home/"d").read_text(), (user_builder.home/"n").read_text(), registry.digest(repository,"12"), registry.digest(repository+"/other","12"))
    build("tar",F,"--platform=linux/arm64,linux/amd64",f"--tar-path={user_builder.home}/t.tar","--no-push")
    build("digest base single",f"FROM {base}@{a['digest']}\nLABEL a=b\n","--platform=linux/arm64",f"--destination={t}:13"); idxof("13")
    # nested index
    inner=lay.index([a|{"platform":{"os":"linux","architecture":"amd64"}},c|{"platform":{"os":"linux","architecture":"arm64"}}])
    outer=lay.index([inner]); lay.tag(outer,"n")
    nested=push_layout(lay.path,"n",registry,f"base/{repository}:n","--all")
    o=build("nested",f"FROM {nested}\nLABEL a=b\n","--platform=linux/arm64,linux/amd64",f"--destination={t}:14")
    if o.status==0: idxof("14")
    build("copy from other platform",f"FROM --platform=linux/arm64 {base} AS o\nFROM {base}\nCOPY --from=o /for /o\n","--platform=linux/amd64",f"--destination={t}:15")
