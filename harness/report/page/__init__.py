"""The report: everything that stored runs show, on one page that needs no network, and as figures for papers.

What is shown is decided in modules of its own, which give the kinds of `figures`; `vega` draws these for the
page, `paper` for papers.
"""
