"""What a power cut leaves of a folder, from what `faults` has seen done to it.

for count, kind, tree in cuts(disk): …      after so many operations; every state that the disk may then be in
lay(tree, place)                            that state as a folder
"""

import os


class Node:
    """A file or folder as the disk knows it, whatever its names are."""

    def __init__(self, data=None):
        self.data, self.safe = (
            data,
            data,
        )  # bytes of a file: as a reader sees them, and as they were flushed last; None for a folder


def grown(tree, names, node):
    names[node] = {}
    for name, value in tree.items():
        names[node][name] = child = Node(value if isinstance(value, bytes) else None)
        if isinstance(value, dict):
            grown(value, names, child)


class Log:
    """The operations as changes of names, and which of them are on the disk."""

    def __init__(self, disk):
        self.root, self.top = disk.root, Node()
        self.now = {}
        grown(disk.start, self.now, self.top)
        self.first = {node: dict(names) for node, names in self.now.items()}
        self.changes, self.on_disk = [], []

    def find(self, path):
        node = self.top
        for name in os.path.relpath(path, self.root).split(os.sep):
            if name != ".":
                node = self.now[node][name]
        return node

    def change(self, kind, *what):
        self.changes.append((kind, *what))
        self.on_disk.append(False)
        apply(self.now, self.changes[-1])

    def take(self, kind, path, more=None):
        above, name = os.path.split(path)
        if kind in ("mkdir", "create"):
            node = Node(b"" if kind == "create" else None)
            node.safe = None
            for names in (self.now, self.first):
                names.setdefault(node, {})
            self.change("link", self.find(above), name, node)
        elif kind == "content":
            self.find(path).data = more
        elif kind == "fsync":
            node = self.find(path)
            if node.data is None:
                self.on_disk = [done or node in change for change, done in zip(self.changes, self.on_disk, strict=True)]
            node.safe = node.data
        elif kind in ("unlink", "rmdir"):
            self.change("unlink", self.find(above), name, self.find(path))
        else:
            there, other = os.path.split(more)
            ends = self.find(above), name, self.find(path), self.find(there), other
            self.change(kind, *ends, self.find(more) if kind == "exchange" else None)

    def trees(self):
        """What may stand: of the changes that are not on the disk none, the first ones, all, or all but one; files that were not flushed
        whole, empty, cut in half or full of zeros."""
        open_ = [i for i, done in enumerate(self.on_disk) if not done]
        choices = [set(open_[:k]) for k in range(len(open_) + 1)] + [set(open_) - {i} for i in open_]
        seen = []
        for chosen in choices:
            names = {node: dict(inner) for node, inner in self.first.items()}
            done = [c for i, c in enumerate(self.changes) if self.on_disk[i] or i in chosen]
            if not all(apply(names, change) for change in done):
                continue  # an order that no disk has
            for kind in ("whole", "empty", "half", "zeros"):
                tree = built(names, self.top, kind)
                if tree not in seen:
                    seen.append(tree)
                    yield kind, tree


def apply(names, change):
    kind, above, name, node, *rest = change
    if kind == "link":
        names[above][name] = node
    elif names[above].get(name) is not node:
        return False
    elif kind == "unlink":
        del names[above][name]
    elif kind == "rename":
        there, other, _ = rest
        if names[there].get(other) not in (None, node) and names.get(names[there][other]):
            return False  # a folder with something in it is not replaced
        del names[above][name]
        names[there][other] = node
    else:
        there, other, second = rest
        if names[there].get(other) is not second:
            return False
        names[above][name], names[there][other] = second, node
    return True


def built(names, node, kind):
    out = {}
    for name, child in names[node].items():
        if child.data is None:
            out[name] = built(names, child, kind)
        elif kind == "whole" or child.safe == child.data:
            out[name] = child.data
        else:
            data = child.data
            out[name] = {"empty": child.safe or b"", "half": data[: len(data) // 2], "zeros": bytes(len(data))}[kind]
    return out


def cuts(disk):
    """(after how many operations, what of the files was lost, folder as nested dicts): every state in which a power cut may leave the folder."""
    log, trace = Log(disk), list(disk.trace)
    for kind, tree in log.trees():
        yield 0, kind, tree
    for i, (count, *what) in enumerate(trace):
        log.take(*what)
        if what[0] == "create" and i + 1 < len(trace) and trace[i + 1][0] == count:
            continue  # one operation with its contents
        for kind, tree in log.trees():
            yield count, kind, tree


def lay(tree, root):
    """Nested dicts as a folder."""
    root.mkdir(parents=True)
    for name, value in tree.items():
        if isinstance(value, dict):
            lay(value, root / name)
        else:
            (root / name).write_bytes(value)
