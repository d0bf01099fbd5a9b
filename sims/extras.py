"""What researchers' examples need besides: an extra of the package, and nothing that Ebbtide itself imports."""


def missing(error: ModuleNotFoundError, module: str = "") -> ModuleNotFoundError | SystemExit:
    """Return what to raise where an import of an extra failed: it names the remedy.

    Args:
        module: who lacks it, by `__name__`: what is run as a script ends with one line, and no traceback.
    """
    text = f'no module {error.name!r}: it belongs to the extra for researchers. pip install "ebbtide[research]"'
    return SystemExit(text) if module == "__main__" else ModuleNotFoundError(text, name=error.name)
