"""What researchers' examples need besides: an extra of the package, and nothing that Ebbtide itself imports."""


def missing(error: ModuleNotFoundError) -> ModuleNotFoundError:
    """Return what to raise where an import of an extra failed: it names the remedy."""
    return ModuleNotFoundError(
        f'no module {error.name!r}: it belongs to the extra for researchers. pip install "ebbtide[research]"',
        name=error.name,
    )
