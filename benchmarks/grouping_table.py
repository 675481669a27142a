"""The Markdown table of the grouping benchmark, from its numbers."""

FLOORS = """\
| what | guide, two cores | measured |
|---|---|---|"""


def seconds(value) -> str:
    """Return a time with three digits and its unit."""
    if value is None:
        return ""
    return f"{value:.3g} s" if value >= 1 else f"{1e3 * value:.3g} ms"


def as_markdown(document: dict, columns: dict[str, str]) -> str:
    """Return the page: floors, all rows, the three rules, the spatial table."""
    return "\n\n".join([
        "# Grouping, measured",
        "Written by `make bench-grouping`; medians, one process per row. Rows \"compiled\" have "
        "loaded the compiled loops although the scan is small; from 5e4 positions on they are "
        "loaded as it comes. Sizes that were left out name the reason.",
        _floors(document["rows"]),
        "## Every row",
        _rows(document["rows"], columns),
        "## The three rules of the plan, 10,304 frames of 64 x 64, gridsize 2",
        _rules(document["rules"]),
        "## What a sample covers: exact raster of 92 x 112, gridsize 2, lengths in its step",
        _spatial(document["spatial"]),
    ]) + "\n"  # fmt: skip


def _floors(rows) -> str:
    lines = [FLOORS]
    for k, floor in ((4, "8 ms"), (8, "25 ms")):
        for way in ("as it comes", "compiled"):
            found = [r for r in rows if r["scan"] == "raster" and 10_000 < r["M"] < 11_000
                     and r["K"] == k and r["way"] == way and r["gridsize"] == 2]  # fmt: skip
            if found:
                row = found[0]
                ratio = f", {row['ratio']:.0f}x faster than plain" if "ratio" in row else ""
                lines.append(f"| kNN + all groups, 10,304 raster, K = {k}, {way} | {floor} | "
                             f"{seconds(row.get('knn_all'))}{ratio} |")  # fmt: skip
                if way == "as it comes":
                    lines.append(f"| the same, first call in the process | 0.3 s | "
                                 f"{seconds(row['first_call'])} |")  # fmt: skip
                lines.append(f"| balanced M/C, 10,304 raster, K = {k}, {way} | 30 ms | "
                             f"{seconds(row.get('balanced_all'))} |")  # fmt: skip
    million = [r for r in rows if 9e5 < r["M"] < 2e6 and r["scan"] == "raster" and r["K"] == 4]
    for row in million:
        lines.append(
            f"| kNN + all groups, 1e6 raster, K = 4 | 1 s, 1 GB | "
            f"{seconds(row.get('knn_all'))}, {row.get('listed_mb', 0):.0f} MB |"
        )
    for row in rows:
        if 9e5 < row["M"] < 2e6 and "balanced_all" in row:
            lines.append(
                f"| balanced M/C, 1e6 {row['scan']}, K = {row['K']} | 4 s | "
                f"{seconds(row['balanced_all'])} |"
            )
    for row in (r for r in rows if r["M"] > 9e6 and "uniform_512" in r):
        lines.append(f"| uniform 512 of 1e7, {row['scan']}, K = {row['K']} | 2 s, 1.5 GB | "
                     f"{seconds(row['uniform_512'])}, {row['peak_mb']:.0f} MB |")  # fmt: skip
    for row in rows:
        default = row["way"] == "as it comes" and 10_000 < row["M"] < 11_000 and row["K"] == 8
        if default and "balanced_unused" in row:
            lines.append(
                f"| balanced M/C, {row['scan']}: unused; mean pair distance over uniform K = 4 | "
                f"0.5 %; 1.05 | {100 * row['balanced_unused']:.2f} %; "
                f"{row['balanced_pair_ratio']:.3f} |"
            )
    return "\n".join(lines)


def _rows(rows, columns) -> str:
    head = ["scan", "M", "g", "K", "way", "groups", *columns.values(), "cache", "peak"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in rows:
        cells = [row["scan"], f"{row['M']:,}", str(row["gridsize"]), str(row["K"]), row["way"]]
        if "skipped" in row:
            lines.append("| " + " | ".join([*cells, f"skipped: {row['skipped']}"]) + " |")
            continue
        cells.append(f"{row['n_groups']:,}" if "n_groups" in row else "")
        for name in columns:
            value = row.get(name)
            if name == "ratio":
                cells.append("" if value is None else f"{value:.0f}x")
            else:
                cells.append(seconds(value))
        cells.append(f"{row['cache_mb']:.1f} MB" if "cache_mb" in row else "")
        cells.append(f"{row['peak_mb']:.0f} MB")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _rules(rules) -> str:
    lines = [
        "| K | find and write | open | share (< 10 %) | file (< 100 MB) | data loading | "
        "first run / loading (< 2) |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {r['K']} | {seconds(r['first_run'])} | {seconds(r['opened'])} | "
        f"{100 * r['opened_share']:.1f} % | {r['file_mb']:.1f} MB | {seconds(r['data_loading'])} | "
        f"{r['first_run_over_loading']:.2f} |"
        for r in rules
    ]
    return "\n".join(lines)


def _spatial(rows) -> str:
    lines = [
        "| sampler | K | n | positions unused | area within 1 | area within 2 | largest empty "
        "circle | mean pair distance | discrepancy |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {r['sampler']} | {r['K']} | {r['n']:,} | {100 * r['unused']:.1f} % | "
        f"{r['within_1a']:.3f} | {r['within_2a']:.3f} | {r['empty_circle']:.2f} | "
        f"{r['pair']:.2f} | {r['discrepancy']:.2g} |"
        for r in rows
    ]
    return "\n".join(lines)
