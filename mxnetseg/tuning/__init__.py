"""Which way of running a network is fastest on this machine: measured, proven equal, remembered.

``ways``: what there is to choose from. ``proof``: whether a way gives what MXNet's float32 gives,
or what lower precision makes of that. ``race``: ways take turns. ``crew``: other numbers of
threads, and what may crash, in processes of their own.
``memory``: the files of the cache folder. ``thorough``: what ``speed --tune`` does. ``auto``: what
``--runtime auto`` takes.
"""
