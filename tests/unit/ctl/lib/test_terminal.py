"""Tables as wide as the terminal."""

from failover_oneshot.ctl.lib.terminal import cells, elided, laid_out


def test_a_table_keeps_to_its_width_whatever_the_cells_hold() -> None:
    rows = [("NAME", "STATE", "NOTE"), ("n" * 300, "state", "note " * 80), ("名前" * 40, "ok", "\x1b[31mred\x07")]
    for width in (20, 40, 80, 200):
        for line in laid_out(rows, "  ", width):
            text = "".join(part for part, _ in line)
            assert cells(text.rstrip()) <= width
            assert text.isprintable()
    assert elided("名前名前", 5) == "名前…"
    assert elided("", 0) == elided("abc", 0) == ""
