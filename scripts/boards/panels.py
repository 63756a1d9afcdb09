"""The kinds of panel that the boards use, each with a unit, a sentence and a word for "nothing".

In a query `$where` stands for the matchers of job and instance; every other `$` is Grafana's.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from grafana_foundation_sdk.builders import common, heatmap, logs, loki, prometheus, stat
from grafana_foundation_sdk.builders import dashboard as board
from grafana_foundation_sdk.builders import table as tables
from grafana_foundation_sdk.builders import timeseries as series
from grafana_foundation_sdk.models import common as shapes
from grafana_foundation_sdk.models.dashboard import (
    DashboardLinkType,
    DataSourceRef,
    DataTransformerConfig,
    FieldColorModeId,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMappingResult,
)
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

PROMETHEUS: Final = DataSourceRef("prometheus", "${datasource}")
LOKI: Final = DataSourceRef("loki", "${logs}")
WHERE: Final = 'job=~"$job",instance=~"$instance"'
NO_TRAFFIC: Final = "no traffic"

# From what value on which colour; the first colour holds below.
Steps = Sequence[tuple[float, str]]


def stat_of(
    title: str,
    told: str,
    query: str,
    *,
    unit: str = "short",
    width: int = 3,
    quiet: str = NO_TRAFFIC,
    steps: Steps = (),
    first: str = "green",
    names: Mapping[str, tuple[str, str]] | None = None,
    leads_to: str | None = None,
    runbooks: Sequence[str] = (),
) -> stat.Panel:
    """One number of now, or of the whole range; `names` gives words and colours for values.

    `leads_to` is the uid of the board that says more; `runbooks` names the alerts about it.
    """
    panel = (
        stat.Panel()
        .title(title)
        .description(told)
        .datasource(PROMETHEUS)
        .unit(unit)
        .no_value(quiet)
        .height(4)
        .span(width)
        .color_mode(shapes.BigValueColorMode.VALUE)
        .graph_mode(shapes.BigValueGraphMode.NONE)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .thresholds(_thresholds(first if steps else "text", steps))
        .with_target(_query(query, title).instant())
    )
    if names:
        panel = panel.mappings([ValueMap(options=_named(names))])
    return panel.links([*_boards(leads_to), *_runbooks(runbooks)])


def lines(
    title: str,
    told: str,
    queries: Mapping[str, str],
    *,
    unit: str,
    width: int = 12,
    quiet: str = NO_TRAFFIC,
    steps: Steps = (),
    least: float | None = 0,
    most: float | None = None,
    runbooks: Sequence[str] = (),
) -> series.Panel:
    """Values over time, a line for each series; the keys of `queries` are its legends."""
    panel = _over_time(title, told, queries, unit, width, quiet).links(_runbooks(runbooks))
    panel = panel.line_width(1).fill_opacity(8).show_points(shapes.VisibilityMode.AUTO)
    if steps:
        panel = panel.thresholds(_thresholds("transparent", steps)).thresholds_style(
            common.GraphThresholdsStyleConfig().mode(shapes.GraphThresholdsStyleMode.DASHED)
        )
    panel = panel if least is None else panel.min(least)
    return panel if most is None else panel.max(most)


def bars(
    title: str,
    told: str,
    queries: Mapping[str, str],
    *,
    unit: str = "short",
    width: int = 12,
    quiet: str = NO_TRAFFIC,
) -> series.Panel:
    """How much there was over time, piled up."""
    return (
        _over_time(title, told, queries, unit, width, quiet)
        .min(0)
        .draw_style(shapes.GraphDrawStyle.BARS)
        .fill_opacity(60)
        .line_width(0)
        .stacking(common.StackingConfig().mode(shapes.StackingMode.NORMAL).group("A"))
    )


def spread(title: str, told: str, query: str, *, unit: str, width: int = 12) -> heatmap.Panel:
    """How the observations of a histogram lie, bucket by bucket."""
    return (
        heatmap.Panel()
        .title(title)
        .description(told)
        .datasource(PROMETHEUS)
        .unit(unit)
        .no_value(NO_TRAFFIC)
        .height(8)
        .span(width)
        .calculate(False)
        .y_axis(heatmap.YAxisConfig().unit(unit))
        .color(
            heatmap.HeatmapColorOptions().mode(HeatmapColorMode.SCHEME).scheme("Oranges").steps(32)
        )
        .with_target(_query(query, "{{le}}").format(PromQueryFormat.HEATMAP))
    )


def table(
    title: str,
    told: str,
    query: str,
    columns: Mapping[str, str],
    *,
    unit: str = "short",
    width: int = 12,
    quiet: str = NO_TRAFFIC,
) -> tables.Panel:
    """What is there now, a row for each series; `columns` names the labels that are shown."""
    kept = {"Value": 99, **{label: place for place, label in enumerate(columns)}}
    shown = DataTransformerConfig("filterFieldsByName", options={"include": {"names": [*kept]}})
    order = DataTransformerConfig(
        "organize", options={"indexByName": kept, "renameByName": {**columns, "Value": "Count"}}
    )
    return (
        tables.Panel()
        .title(title)
        .description(told)
        .datasource(PROMETHEUS)
        .unit(unit)
        .no_value(quiet)
        .height(8)
        .span(width)
        .transformations([shown, order])
        .with_target(_query(query, title).instant().format(PromQueryFormat.TABLE))
    )


def log_lines(title: str, told: str, query: str, *, width: int = 24) -> logs.Panel:
    """Lines of the log, newest first."""
    return (
        logs.Panel()
        .title(title)
        .description(told)
        .datasource(LOKI)
        .unit("none")
        .no_value("no such line in this range")
        .height(10)
        .span(width)
        .show_time(True)
        .wrap_log_message(True)
        .enable_log_details(True)
        .sort_order(shapes.LogsSortOrder.DESCENDING)
        .with_target(loki.Dataquery().expr(query).ref_id("A").datasource(LOKI).max_lines(500))
    )


def quantile(
    share: float, histogram: str, *by: str, where: str = "$where", span: str = "$__rate_interval"
) -> str:
    """The query for the value that this share of a histogram's observations stays below.

    Of nothing that is NaN, which no comparison lets through: then a panel says "no traffic".
    """
    series_of = f"rate({histogram}_bucket{{{where}}}[{span}])"
    return f"histogram_quantile({share}, sum by ({', '.join(('le', *by))}) ({series_of})) >= 0"


def half_and_most(legend: str, histogram: str, *by: str) -> dict[str, str]:
    """Queries for the median and for what 95% stay below, with their legends."""
    shares = {"half": 0.5, "95%": 0.95}
    return {
        f"{legend} {name}".strip(): quantile(share, histogram, *by)
        for name, share in shares.items()
    }


def row(title: str) -> board.Row:
    """A heading over the panels that follow."""
    return board.Row(title)


def folded(title: str, *panels: Any) -> board.Row:
    """A heading that hides its panels, and their queries, until somebody opens it."""
    found = board.Row(title).collapsed(True)
    for panel in panels:
        found = found.with_panel(panel)
    return found


def _over_time(
    title: str, told: str, queries: Mapping[str, str], unit: str, width: int, quiet: str
) -> series.Panel:
    panel = (
        series.Panel()
        .title(title)
        .description(told)
        .datasource(PROMETHEUS)
        .unit(unit)
        .no_value(quiet)
        .height(8)
        .span(width)
        .legend(
            common.VizLegendOptions()
            .show_legend(True)
            .display_mode(shapes.LegendDisplayMode.TABLE)
            .placement(shapes.LegendPlacement.BOTTOM)
            .calcs(["lastNotNull", "max"])
        )
        .tooltip(
            common.VizTooltipOptions()
            .mode(shapes.TooltipDisplayMode.MULTI)
            .sort(shapes.SortOrder.DESCENDING)
        )
        .color_scheme(board.FieldColor().mode(FieldColorModeId.PALETTE_CLASSIC_BY_NAME))
    )
    for letter, (legend, query) in zip("ABCDEFGH", queries.items(), strict=False):
        panel = panel.with_target(_query(query, legend, letter).range())
    return panel


def _query(query: str, legend: str, letter: str = "A") -> prometheus.Dataquery:
    whole = " ".join(query.replace("$where", WHERE).split())
    asked = prometheus.Dataquery().expr(whole).legend_format(legend)
    return asked.ref_id(letter).datasource(PROMETHEUS)


def _thresholds(first: str, steps: Steps) -> board.ThresholdsConfig:
    found = [Threshold(None, first), *(Threshold(value, colour) for value, colour in steps)]
    return board.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(found)


def _named(names: Mapping[str, tuple[str, str]]) -> dict[str, ValueMappingResult]:
    return {
        value: ValueMappingResult(text=text, color=colour, index=place)
        for place, (value, (text, colour)) in enumerate(names.items())
    }


def _boards(uid: str | None) -> list[board.DashboardLink]:
    return [_link("More", f"/d/{uid}?${{__url_time_range}}")] if uid else []


def _runbooks(alerts: Sequence[str]) -> list[board.DashboardLink]:
    return [_link(f"Runbook: {alert}", f"$runbooks#{alert.lower()}") for alert in alerts]


def _link(title: str, url: str) -> board.DashboardLink:
    return board.DashboardLink(title).type(DashboardLinkType.LINK).url(url).target_blank(True)
