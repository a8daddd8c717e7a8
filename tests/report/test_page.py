"""The report, as a reader has it: in a real browser, from a file."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from harness.report.page import matplotlib
from harness.report.page.figures import Axis, Bars, Curve, Figure, Lines, Panel
from harness.report.page.roofline import roofline_figure
from harness.report.page.run_table import run_table
from harness.report.page.series import comparable_sets
from tests.bench import report as bench
from tests.support.pages import CELLS, RATES, chromium, everything, opened, streamed, trained, written
from tests.support.records import PEAK, measured, record

pytestmark = pytest.mark.xdist_group("page")
FIGURES = ("curves", "throughput", "scaling", "roofline", "flow", "rows", "confusion")
HOSTILE = (
    '</script><script>window.hacked = 1</script><img src=x onerror="window.hacked = 1">'
    "{{ 7 * 7 }}{% x %}${window.hacked = 1}'`&lt;\u202eabc\u2028<!--"
)
INSIDE = """() => {
    const sheet = document.documentElement.getBoundingClientRect();
    const inside = box => box.left >= sheet.left && box.right <= sheet.right;
    return [...document.querySelectorAll("text")].every(text => inside(text.getBoundingClientRect()));
}"""
SAFE = HOSTILE.replace("\u202e", r"\u202e").replace("\u2028", " ")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of everything, with its figures for papers beside it."""
    place = tmp_path_factory.mktemp("page")
    written(place, *everything(), options=("--plots", str(place / "plots")))
    return place / "report.html"


@pytest.fixture
def page(browser: Browser, whole: Path) -> Iterator[Page]:
    with opened(browser, whole, viewport={"width": 1200, "height": 900}) as found:
        yield found


def column(page: Page, name: str) -> list[str]:
    names = page.locator("#heads th button").all_inner_texts()
    return page.locator(f"#run-rows tr > td:nth-child({names.index(name) + 2})").all_inner_texts()


def heading(page: Page, name: str) -> Locator:
    return page.locator("#heads").get_by_role("button", name=name, exact=True)


# charts


@pytest.mark.long
def test_every_chart_is_drawn_and_says_what_it_is(page: Page) -> None:
    for name in FIGURES:
        charts = page.locator(f"section#{name} .chart")
        assert charts.count() > 0, name
        for chart in charts.all():
            marks = chart.locator("svg .mark-line path, svg .mark-rect path, svg .mark-symbol path")
            assert any(box["width"] + box["height"] > 3 for m in marks.all() if (box := m.bounding_box())), (
                name
            )
            image = chart.locator("xpath=..")
            assert image.get_attribute("role") == "img"
            assert len(str(image.get_attribute("aria-label"))) > 30
    lines = page.locator("#curves-1 .mark-line.role-mark path")
    assert lines.count() == len(RATES)
    assert page.locator("#throughput-1 .mark-rect.role-mark path").count() == len(RATES) * len(CELLS)


def test_no_bar_is_shown_that_passes_the_best_product() -> None:
    runs = [
        measured("numpy", 0, 0, 1.2 * PEAK, own_shape_flops_per_second=0.9 * PEAK),
        measured("torch", 0, 0, 0.5 * PEAK, own_shape_flops_per_second=0.8 * PEAK),
    ]
    (panel,) = roofline_figure(comparable_sets(runs, "throughput")).panels
    assert isinstance(panel.chart, Bars)
    (bar,) = panel.chart.bars
    assert "torch" in bar.label
    assert bar.against == pytest.approx((80, 100))


@pytest.mark.long
def test_every_chart_has_its_numbers_as_a_table(page: Page) -> None:
    figure = page.locator("#throughput figure").first
    figure.get_by_text("Numbers").click()
    text = figure.locator("table").inner_text()
    assert "lstm · torch †\t9,090\t8,820\t9,364" in text.replace("9,360", "9,364")
    assert page.locator("figure").count() == page.locator("figure table").count()


@pytest.mark.long
def test_hovering_shows_values(page: Page) -> None:
    page.locator("#throughput-1 .mark-rect.role-mark path").first.hover()
    tip = page.locator("#vg-tooltip-element.visible")
    expect(tip).to_contain_text("gru · keras")
    expect(tip).to_contain_text("7,739")


@pytest.mark.long
def test_a_chart_without_data_says_which_command_makes_it(browser: Browser, tmp_path: Path) -> None:
    path = written(tmp_path, replace(trained("numpy", "lstm", 0), details={}, history=[]))
    with opened(browser, path) as page:
        for name in ("curves", "scaling", "flow", "rows", "confusion"):
            expect(page.locator(f"section#{name} .missing")).to_contain_text("python run.py")
        expect(page.locator("#summary")).to_contain_text("No two runs differ in more than their seed")
        expect(page.locator("header")).to_contain_text("One run, which ended ok.")


@pytest.mark.long
def test_the_grid_has_no_blank_square(page: Page) -> None:
    squares = page.locator("table.grid td")
    assert all(text.strip() for text in squares.all_inner_texts())
    row = page.locator("table.grid tr", has=page.get_by_role("rowheader", name="indrnn", exact=True))
    expect(row.locator("td.bad")).to_contain_text("ended by SIGSEGV")
    assert "not run" in row.inner_text()
    assert "not offered" in row.inner_text()
    lstm = page.locator("table.grid tr", has=page.get_by_role("rowheader", name="lstm", exact=True))
    assert "9,090/s †" in lstm.inner_text()


@pytest.mark.long
def test_runs_that_are_not_ok_are_listed_with_their_reason(page: Page) -> None:
    text = page.locator("section#not-ok").inner_text()
    assert "crashed\t1\ttorch indrnn\tended by SIGSEGV, no output" in text
    assert "skipped\t1\tkeras ctrnn\tkeras has no fused ctrnn" in text


# the table of runs


@pytest.mark.long
def test_sorting(page: Page) -> None:
    def numbers() -> list[float]:
        texts = column(page, "train, seq/s")
        return [float(re.sub("[†, ]", "", text)) for text in texts if text != "–"]

    heading(page, "train, seq/s").click()
    assert numbers() == sorted(numbers(), reverse=True)
    head = page.locator("th[data-name=train_throughput]")
    expect(head).to_have_attribute("aria-sort", "descending")
    heading(page, "train, seq/s").click()
    assert numbers() == sorted(numbers())
    expect(head).to_have_attribute("aria-sort", "ascending")
    assert column(page, "train, seq/s")[-4:] == ["–"] * 4, "what is missing comes last"
    heading(page, "cell").click()
    assert column(page, "cell") == sorted(column(page, "cell"))
    expect(head).to_have_attribute("aria-sort", "none")


@pytest.mark.long
def test_filtering(page: Page) -> None:
    total = page.locator("#run-rows tr").count()
    page.select_option("#filter-backend", "torch")
    assert set(column(page, "backend")) == {"torch"}
    page.select_option("#filter-status", "ok")
    assert set(column(page, "status")) == {"ok"}
    page.fill("#search", "LSTM seed=2")
    assert column(page, "seed") == ["2"]
    expect(page.locator("#count")).to_have_text(f"1 of {total} runs")
    page.fill("#search", "9180 some cpu")
    assert column(page, "train, seq/s") == ["9,180 †"], "numbers and what a row opens to are looked through"
    page.fill("#search", "no such thing")
    expect(page.locator("#count")).to_have_text(f"0 of {total} runs")
    page.fill("#search", "")
    page.select_option("#filter-status", "")
    page.select_option("#filter-backend", "")
    assert page.locator("#run-rows tr").count() == total


@pytest.mark.long
def test_contended_figures_are_marked_and_nothing_else(page: Page) -> None:
    page.fill("#search", "torch lstm seed=2")
    page.select_option("#filter-mode", "train")
    assert column(page, "train, seq/s") == ["9,180 †"]
    assert column(page, "of the peak") == ["0.1274 †"]  # 9,180 times 12.5 MFLOP, of 900 GFLOP/s
    assert column(page, "test accuracy") == ["0.9860"]
    page.fill("#search", "torch lstm seed=1")
    assert column(page, "train, seq/s") == ["9,090"]


@pytest.mark.long
def test_unsteady_training_speeds_are_marked(browser: Browser, tmp_path: Path) -> None:
    fields = {"train_throughput_best": 12_345.0, "unsteady": True, "contended": True}
    with opened(browser, written(tmp_path, trained("torch", "lstm", 0, **fields))) as page:
        assert column(page, "train, seq/s") == ["9,000 † ‡"]
        assert column(page, "undisturbed, seq/s") == ["12,345 † ‡"]
        assert column(page, "predict, seq/s") == ["36,000 †"]
        lstm = page.locator("table.grid tr", has=page.get_by_role("rowheader", name="lstm", exact=True))
        assert "9,000/s † ‡" in lstm.inner_text()


@pytest.mark.long
def test_by_keyboard(page: Page) -> None:
    heading(page, "test accuracy").focus()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")
    focused = page.locator(":focus-visible")
    expect(focused).to_have_text("test accuracy")
    assert focused.evaluate("e => getComputedStyle(e).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    assert column(page, "test accuracy")[0] == "0.9875"
    page.locator("#run-rows button").nth(1).focus()
    page.keyboard.press("Space")
    expect(page.locator(":focus")).to_have_attribute("aria-expanded", "true")
    command = page.locator("tr.details code")
    assert re.fullmatch(r"python run.py backend=\w+ cell=gru seed=1", command.inner_text())
    page.keyboard.press("Space")
    expect(command).to_have_count(0)
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#environments dl").first).to_contain_text("torch 2.13.0")


# strangers' text


@pytest.mark.long
def test_what_strangers_write_stays_text(browser: Browser, tmp_path: Path) -> None:
    config = trained("torch", "lstm", 0).config
    records = [
        trained("torch", "lstm", 0),
        trained("torch", "lstm", 1, config={**config, "init": HOSTILE}, command=HOSTILE, kernel=HOSTILE),
        trained("torch", "gru", 0, device_name=HOSTILE, environment={HOSTILE: HOSTILE, "versions": {}}),
        replace(streamed("torch", "gru"), device_name=HOSTILE),
        record("failed", HOSTILE, "backend=torch", "cell=rnn", command=HOSTILE),
    ]
    path = written(tmp_path, *records, options=("--plots", str(tmp_path / "plots")))
    with opened(browser, path) as page:
        assert page.evaluate("window.hacked") is None
        assert page.locator("img, iframe, object, link[href^=http]").count() == 0
        assert page.locator("script").count() == 4
        assert "\u202e" not in page.content()
        labels = page.locator("#throughput svg text").all_text_contents()
        assert any("init=</script><script>" in label for label in labels), labels
        expect(page.locator("section#not-ok")).to_contain_text(SAFE)
        page.fill("#search", "window.hacked lstm")
        page.locator("#run-rows button").first.click()
        expect(page.locator("tr.details code")).to_have_text(SAFE)
        page.locator("#throughput-1 .mark-rect.role-mark path").first.hover()
        expect(page.locator("#vg-tooltip-element.visible")).to_contain_text("<script>window.hacked")
        assert page.evaluate("window.hacked") is None
    for drawn in (tmp_path / "plots").glob("*.svg"):
        assert "script" not in {element.tag.rpartition("}")[2] for element in ElementTree.parse(drawn).iter()}


@pytest.mark.long
def test_the_page_may_run_nothing_that_was_not_written_into_it(browser: Browser, whole: Path) -> None:
    page = browser.new_page()
    page.goto(whole.as_uri())
    page.wait_for_selector("html[data-drawn]")
    page.evaluate(
        "document.body.append(Object.assign(document.createElement('script'), {text: 'window.hacked = 1'}))"
    )
    assert page.evaluate("window.hacked") is None
    page.close()


# every size, light, dark, paper


@pytest.mark.long
@pytest.mark.parametrize("width", [320, 768, 1600])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_width_overflows_and_text_can_be_read(
    browser: Browser, whole: Path, width: int, scheme: str
) -> None:
    with opened(browser, whole, viewport={"width": width, "height": 800}, color_scheme=scheme) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        for chart in page.locator(".chart svg").all():
            box = chart.bounding_box()
            assert box is not None
            assert box["x"] + box["width"] <= width
        for place in ("h1", ".says", "table.runs td", "#curves-1 svg text", "table.grid td.not-offered"):
            assert contrast(page.locator(place).first) >= 4.5, place


CONTRAST = """element => {
    const parse = (text) => text.match(/[\\d.]+/g).slice(0, 3).map((c) => {
        c /= 255;
        return c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    });
    const light = ([r, g, b]) => 0.2126 * r + 0.7152 * g + 0.0722 * b;
    const style = getComputedStyle(element);
    const ink = light(parse(element instanceof SVGElement ? style.fill : style.color));
    const paper = light(parse(getComputedStyle(document.documentElement).backgroundColor));
    return (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
}"""


def contrast(place: Locator) -> float:
    """Of text and page, as WCAG 2 defines it."""
    return float(place.evaluate(CONTRAST))


@pytest.mark.long
def test_on_paper(browser: Browser, whole: Path) -> None:
    with opened(browser, whole, color_scheme="dark") as page:
        page.emulate_media(media="print")
        paper = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        assert paper == "rgb(255, 255, 255)"
        for place in ("nav", "#filters", "#back", "#on"):
            expect(page.locator(place)).to_be_hidden()
        expect(page.locator("#summary")).to_be_visible()
        expect(page.locator("#page")).to_have_text("Page 1 of 1")
        expect(page.locator("#page")).to_be_visible()
        page.set_viewport_size({"width": 690, "height": 900})  # of A4, between its margins
        assert page.evaluate("document.documentElement.scrollWidth") <= 690
        assert contrast(page.locator("#curves-1 svg text").first) >= 4.5
        assert page.pdf(format="A4").startswith(b"%PDF")


# many runs


@pytest.mark.long
def test_five_thousand_runs(browser: Browser, tmp_path: Path) -> None:
    bench.fill(tmp_path / "results", 5_000)
    path = bench.write(tmp_path)
    assert path.stat().st_size < 10 * 2**20
    with opened(browser, path) as page:
        # a second on a quiet machine, see tests/bench/report.py
        assert int(page.evaluate("document.documentElement.dataset.ready")) < 10_000
        expect(page.locator("#count")).to_have_text("5,000 of 5,000 runs")
        page.select_option("#filter-status", "crashed")
        expect(page.locator("#count")).to_have_text("50 of 5,000 runs")
        page.select_option("#filter-status", "")
        expect(page.locator("#page")).to_have_text("Page 1 of 100")
        page.get_by_role("button", name="On", exact=True).click()
        expect(page.locator("#page")).to_have_text("Page 2 of 100")
        assert page.locator("#run-rows tr").count() == 50


# figures for papers


@pytest.mark.long
def test_figures_for_papers(whole: Path, browser: Browser) -> None:
    plots = whole.parent / "plots"
    drawn = {path.name for path in plots.iterdir()}
    with opened(browser, whole) as page:
        names = page.locator(".chart").evaluate_all("charts => charts.map(chart => chart.id)")
    assert drawn == {f"{name}{suffix}" for name in names for suffix in (".svg", ".pdf")}
    texts = {e.text for e in ElementTree.parse(plots / "throughput-1.svg").iter() if e.text}
    assert {"lstm · numpy", "sequences/s"} <= texts
    assert (plots / "curves-1.pdf").read_bytes().startswith(b"%PDF")
    assert b"Times" not in (plots / "curves-1.pdf").read_bytes()


@pytest.mark.long
def test_a_legend_stays_on_the_sheet(tmp_path: Path, browser: Browser) -> None:
    """In one column where two are too wide, with as much room as before for the chart."""
    heights = []
    for label in ("lstm", "lstm · torch · cudnn · learning rate 0.003 · threads"):
        curves = tuple(Curve(f"{label} {k}", str(k), ((1.0, 2.0), (2.0, 3.0))) for k in range(6))
        chart = Lines(Axis("epoch"), Axis("accuracy"), curves)
        svg, _ = matplotlib.write(tmp_path, [Figure("curves", "", "", "", (Panel("", chart),))])
        page = browser.new_page()
        page.goto(svg.as_uri())
        assert page.evaluate(INSIDE), label
        heights.append(page.evaluate("document.documentElement.viewBox.baseVal.height"))
        page.close()
    assert heights[0] == pytest.approx(2.7 * 72)
    assert heights[1] > heights[0] + 3 * 7  # points


def test_energy_is_a_column_of_the_runs_where_it_was_measured() -> None:
    without, run = trained("numpy", "gru", 0), trained("numpy", "gru", 1)
    measured_run = replace(run, joules_per_1000_sequences=0.25)
    assert "joules_per_1000_sequences" not in [each["name"] for each in run_table([without])["columns"]]
    table = run_table([without, measured_run])
    assert table["columns"][-1]["name"] == "joules_per_1000_sequences"
    assert [row[-1] for row in table["rows"]] == [None, 0.25]
