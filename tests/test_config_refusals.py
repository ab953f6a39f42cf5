"""One wrong thing in a study, one problem: what was got, what was expected, the nearest name."""

import pytest
from test_config import make, problems_of

from regjax import ModelSettings, part
from regjax.config import parse_study, study_json

FOUR = {path: [0, 0.1] for path in ("dropout.hidden", "l1.strength", "l2.strength", "label_smoothing.strength")}
REFUSED = [
    ({"question": ""}, "question: got \"\", expected a sentence of 1 to 300 characters"),
    ({"question": "x" * 301}, "question: got 301 characters"),
    ({"question": 3}, "question: got 3"),
    ({"primary": {"metric": "test.acuracy"}}, 'did you mean "test.accuracy"?'),
    ({"primary": {"metric": "batch.nll"}}, "primary.metric"),
    ({"primary": {"at": "bets"}}, 'primary.at: got "bets", expected "best", "last", { epoch = n }'),
    ({"primary": {"at": {"epoch": 0}}}, "primary.at: got { epoch = 0 }"),
    ({"primary": {"at": {"epoch": True}}}, "primary.at: got { epoch = true }"),
    ({"primary": {"at": {"epoch": 5}}}, "a state of the training, which has 4 epochs"),
    ({"primary": {"also_at": ["best", {"epoch": 9}]}}, "primary.also_at[1]: got { epoch = 9 }"),
    ({"primary": {"also_at": ["last"]}}, "got a state twice"),
    ({"primary": {"at": {"epoch": 3}}, "training": {"evaluate_every": {"epochs": 2}}},
     "primary.at: got { epoch = 3 }, expected an evaluation; they lie every 2 epochs"),
    ({"primary": {"also_at": [{"step": 5}]}, "training": {"epochs": None, "steps": 8, "evaluate_every": {"steps": 2}}},
     "primary.also_at[0]: got { step = 5 }, expected an evaluation; they lie every 2 steps"),
    ({"primary": {"margin": 0.0}}, "primary.margin: got 0.0, expected a number > 0"),
    ({"primary": {"margin": "1e-3"}}, 'primary.margin: got "1e-3", expected a number > 0'),
    ({"primary": {"margin": float("nan")}}, "primary.margin: got nan"),
    ({"data": {"name": "mnits"}}, 'data.name: got "mnits"'),
    ({"data": {"subset": {"nested": False}}}, "data.subset.nested: got false, expected true"),
    ({"data": {"validation": {"count": 5}}}, "digits has no official test part"),
    ({"data": {"name": "mnist", "validation": {"count": 5, "fraction": 0.1}}}, "exactly one of count and fraction"),
    ({"data": {"name": "mnist", "validation": {"fraction": 1.0}}}, "data.validation.fraction: got 1.0"),
    ({"data": {"name": "mnist", "validation": {"fraction": 0.1, "take": "first"}}}, '"last" or "random"'),
    (
        {"data": {"name": "mnist", "validation": {"count": 5}, "split": {"train": 5, "validation": 5, "test": 5}}},
        "data: got validation and split, expected one of them",
    ),
    ({"data": {"split": {"train": 5, "validation": "rest", "test": "rest"}}}, '"rest" at most once'),
    ({"data": {"split": {"train": 0.9, "validation": 0.2, "test": 5}}}, "fractions that sum to 1.1"),
    ({"data": {"split": {"train": 0.8, "validation": 0.2, "test": 5}}}, "leave something for every part"),
    ({"data": {"split": {"train": 5, "validation": 5}}}, "data.split.test: got nothing, expected a count"),
    ({"data": {"name": "arrays"}}, "data: got name = \"arrays\" without path"),
    ({"data": {"path": "a.npz"}}, "keys of digits: split, train_size, subset, scale; path belongs to arrays"),
    ({"data": {"folder": "x"}}, "folder belongs to tfds:<name>, mnist, fashion_mnist"),
    ({"data": {"train_size": 0}}, "data.train_size: got 0, expected an integer >= 1"),
    ({"data": {"scale": "standart"}}, 'did you mean "standard"?'),
    ({"model": {"widths": []}}, "model.widths: got [], expected a list"),
    ({"model": {"widths": [8, 0]}}, "model.widths: got [8, 0]"),
    ({"model": {"widths": None}}, "model.widths: got nothing"),
    ({"model": {"name": "mpl"}}, 'got "mpl", expected "linear", "mlp", "cnn", "resnet" or "vit"; did you mean "mlp"?'),
    ({"model": {"norm": "batsch"}}, 'did you mean "batch"?'),
    ({"model": {"nrm": "batch"}}, 'model.nrm: unknown key "nrm"; did you mean "norm"? (model has: name, activation'),
    ({"model": {"norm_momentum": 1}}, "model.norm_momentum: got 1, expected a number in [0, 1)"),
    ({"model": {"norm_epsilon": 0}}, "model.norm_epsilon: got 0, expected a number > 0"),
    ({"model": {"decay_on": "matrix"}}, 'did you mean "matrices"?'),
    ({"model": {"decay_on": []}}, "model.decay_on: got []"),
    ({"model": {"decay_on": ["a\nb"]}}, "model.decay_on"),
    ({"model": 3}, "model: got 3, expected a table [model]"),
    ({"optimizer": {"name": "adm"}}, 'did you mean "adam"?'),
    ({"optimizer": {"learning_rate": "1e-3"}}, 'got "1e-3", expected a number > 0; write numbers without quotes'),
    ({"optimizer": {"learning_rate": 10**400}}, "got a huge integer, expected an integer of at most 64 bits"),
    ({"optimizer": {"learning_rate": True}}, "optimizer.learning_rate: got true"),
    ({"optimizer": {"learning_rate": "off"}}, "it has no off value"),
    ({"optimizer": {"momentum": 0.9}}, 'optimizer.momentum: unknown key "momentum"'),
    ({"optimizer": {"schedule": {"name": "step"}}}, "optimizer.schedule.every: got 0, expected an integer >= 1"),
    ({"optimizer": {"schedule": "cosine"}}, 'optimizer.schedule: got "cosine", expected a table with name'),
    ({"optimizer": {"schedule": {"nam": "step"}}}, 'optimizer.schedule.nam: unknown key "nam"; did you mean "name"?'),
    ({"optimizer": {"name": "sgd", "nesterov": True}}, "optimizer.momentum: got 0"),
    ({"optimizer": {"name": "adamw"}}, "adamw is adam with decoupled decay: give decay.strength"),
    ({"training": {"steps": 5}}, "training: got epochs and steps, expected exactly one of epochs and steps"),
    ({"training": {"epochs": None}}, "training: got neither"),
    ({"training": {"epochs": True}}, "training.epochs: got true, expected an integer >= 1"),
    ({"training": {"epochs": 2.0}}, "training.epochs: got 2.0"),
    ({"training": {"epochs": "3"}}, "write numbers without quotes"),
    ({"training": {"epochs": 2**40}}, "training.epochs: got 1099511627776"),
    ({"training": {"batch_size": None}}, "training.batch_size: got nothing, expected an integer >= 1"),
    ({"training": {"evaluate_every": {"epochs": 3}}}, "training.evaluate_every.epochs: got 3, expected a divisor of"),
    ({"training": {"evaluate_every": 1}}, "training.evaluate_every: got 1, expected { epochs = n }"),
    ({"training": {"evaluate_every": {"epochs": 2}, "save_every": {"epochs": 3}}}, "training.save_every.epochs: got 3"),
    ({"training": {"precision": "float16"}}, "training.precision"),
    ({"training": {"monitor": "test.nll"}}, "training.monitor"),
    ({"training": {"train_examples": 0}}, "training.train_examples"),
    ({"training": {"keep": "all"}}, "training.keep"),
    ({"seeds": {"count": 0}}, "seeds.count: got 0"),
    ({"seeds": {"first": -1}}, "seeds.first: got -1"),
    ({"seeds": {"first": 2**31 - 2}}, "got seeds up to 2147483648, expected seeds below 2147483648"),
    ({"seeds": {"vary": []}}, "at least one stream"),
    ({"seeds": {"vary": ["init", "init"]}}, "none twice"),
    ({"seeds": {"vary": ["ini"]}}, 'seeds.vary[0]: got "ini"'),
    ({"seeds": {"vary": ["subset"]}}, "no data.train_size is set or varied"),
    ({"seeds": {"vary": ["init", "noise"]}},
     'seeds.vary: got "noise", expected only streams that are drawn; no regularizer here draws from it'),
    ({"task": {"class_weights": [1.0, "x"]}}, 'task.class_weights: got [1.0, "x"], expected "none", "balanced" or a l'),
    ({"task": {"class_weights": [0, 0]}}, "one number >= 0 per class, not all of them 0"),
    ({"task": {"class_weights": "balancd"}}, 'did you mean "balanced"?'),
    ({"fixed": {"dropout.hidden": 0.1}}, 'factors."dropout.hidden": got a path that is in fixed too'),
    ({"fixed": {"l2.strength": [0.1]}}, 'fixed."l2.strength": got [0.1], expected a number >= 0'),
    ({"factors": {}}, "factors: got no factor"),
    ({"factors": None}, "factors: got nothing"),
    ({"factors": {"dropout.hidden": [0.5]}}, "a list of at least two levels"),
    ({"factors": {"dropout.hidden": 0.5}}, "a list of at least two levels"),
    ({"factors": {"dropout.hidden": [0, 1.0]}}, 'factors."dropout.hidden"[1]: got 1.0, expected a number in [0, 1)'),
    ({"factors": {"dropout.hidden": [0, 0.99999999999]}}, "in float32 it becomes 1"),
    ({"factors": {"l2.strength": [0, 1e300]}}, "in float32 it becomes inf"),
    ({"factors": {"l2.strength": [0, 1e-39]}}, "too small for float32"),
    ({"factors": {"l2.strength": [0.1, 0.1 + 1e-12]}}, "in float32 it is there twice"),
    ({"factors": {"l2.strength": [0, "off"]}}, "in float32 it is there twice"),
    ({"factors": {"max_norm.bound": ["off", "off"]}},
     'factors."max_norm.bound"[1]: got "off", expected levels that differ; in float32 it is there twice'),
    ({"factors": {"dropout.hidden": [0, 0.1, [0.2, 0.3], [0.2, 0.300000000001]]}},
     'factors."dropout.hidden"[3]: got [0.2, 0.300000000001], expected levels that differ'),
    ({"factors": {"l2.strength": [0, float("nan")]}}, "got nan"),
    ({"factors": {"l2.strength": [0, float("inf")]}}, "got inf"),
    ({"factors": {"l2.strength": [0, True]}}, "got true"),
    ({"factors": {"l2.strength": [0, [0.1, 0.1]]}}, 'expected a number >= 0 or "off"'),
    ({"factors": {"dropout.hidden": [0, [0.1, 0.2, 0.3]]}}, "got 3 values, expected 2, one per hidden layer"),
    ({"factors": {"early_stopping.restore": [True, 0]}}, "got 0, expected true or false"),
    ({"factors": {"dropout.hiden": [0, 0.5]}},
     'unknown hyper "hiden" of dropout; did you mean "hidden"? (dropout has: hidden, input, begin, end)'),
    ({"factors": {"droput.hidden": [0, 0.5]}}, 'unknown regularizer "droput"; did you mean "dropout"?'),
    ({"factors": {"zzz.hidden": [0, 0.5]}}, 'unknown regularizer "zzz" (a path begins with one of: ... ('),
    ({"factors": {"mixpu.alpha": [0, 0.5]}}, 'did you mean "mixup"? (a path begins with one of: mixup, '),
    ({"factors": {"dropout": [0, 0.5]}}, "a path to one of its values: dropout.hidden, dropout.input"),
    ({"factors": {"dropout.hidden": {"low": 1}}}, "a value, a list of levels, or off, log_range or range, and points"),
    ({"factors": {"dropout": {}}}, "factors.dropout: got an empty table"),
    ({"factors": {"dropout.hidden": [0, 0.5], "dropout": {"hidden": [0, 0.5]}}}, "got the path twice"),
    ({"factors": {"data.scale": ["unit", "none"]}}, '(of data only: train_size)'),
    ({"factors": {"training.epochs": [1, 2]}}, "(of training only: batch_size)"),
    ({"factors": {"training.batch_size": [1, 2.0]}}, "got 2.0, expected an integer >= 1"),
    ({"factors": {"l2.strength": {"log_range": [1, 0.1], "points": 3}}}, "expected [low, high] with 0 < low < high"),
    ({"factors": {"l2.strength": {"log_range": [0, 0.1], "points": 3}}}, "expected [low, high] with 0 < low < high"),
    ({"factors": {"l2.strength": {"log_range": [0.1, 1], "points": 1}}}, "expected an integer in [2, 1000]"),
    ({"factors": {"l2.strength": {"log_range": [0.1, 1], "points": 2, "pints": 3}}},
     'unknown key "pints"; did you mean "points"?'),
    ({"factors": {"l2.strength": {"log_range": [0.1, 1], "points": 800}, "l1.strength": {"log_range": [0.1, 1],
      "points": 800}}}, "640000 cells x 3 seeds = 1920000 runs, expected at most 100000 runs"),
    ({"factors": {"l2.strength": {"log_range": [0.01, 1], "points": 800}, "l1.strength": [0, 1]}, "seeds": {"count": 1},
      "design": {"family": ["simple"]}}, "1599 simple contrasts of 1600 cells"),
    ({"design": {"kind": "factorial"}}, 'did you mean "full_factorial"?'),
    ({"design": {"stratum": []}}, 'design.stratum: unknown key "stratum"; did you mean "strata"?'),
    ({"design": {"family": ["two_way"]}}, "need a full factorial of several factors"),
    ({"design": {"kind": "one_at_a_time", "family": ["main"]}}, "need a full factorial of several factors"),
    ({"design": {"family": []}}, "design.family: got an empty list"),
    ({"design": {"family": ["simple", "simple"]}}, "without doubles"),
    ({"design": {"headline": "main"}}, "design.headline"),
    ({"design": {"headline": "declared"}}, "the study declares no [[contrasts]]"),
    ({"design": {"kind": "leave_one_out"}, "factors": {"l2.strength": [0, 1, 2]}}, "got 3 levels, expected two"),
    ({"factors": FOUR, "design": {"kind": "fractional", "generators": ["C=AB", "D=\n\n\n\nAC"]}},
     'design.generators: got "D=\\n\\n'),
    ({"tune": {"seeds": 5}}, "tune: got no path"),
    ({"tune": {"optimizer.learning_rate": [0.1, 0.2], "seeds": 0}}, "tune.seeds: got 0"),
    ({"tune": {"dropout.hidden": [0.1, 0.2]}}, "got a path that is in factors too"),
    ({"tune": {"l2.strength": [0.1, 0.2]}, "fixed": {"l2.strength": 0.1}}, "got a path that is in fixed too"),
    ({"tune": {"model.norm": ["none", "batch"]}}, "a hyper; settings are compared as factors"),
    ({"tune": {"l2.strength": {"log_range": [0.1, 1], "points": 1000}, "l1.strength": [0, 1], "seeds": 50}},
     "tune: got 200000 runs"),
    ({"contrasts": [{"name": "a", "of": {"dropout.hidden": 0.5}}]}, "contrasts[0].against: got nothing"),
    ({"contrasts": [{"name": "a", "of": {"dropout.hiden": 0.5}, "against": {"dropout.hidden": 0}}]},
     'contrasts[0].of."dropout.hiden": unknown hyper "hiden" of dropout'),
    ({"contrasts": [{"name": "a", "of": {"l2.strength": 0.5}, "against": {"dropout.hidden": 0}}]},
     'contrasts[0].of."l2.strength": got a path that is no factor'),
    ({"contrasts": [{"name": "a", "of": {"dropout.hidden": 0.4}, "against": {"dropout.hidden": 0}}]},
     'contrasts[0].of."dropout.hidden": got 0.4'),
    ({"factors": {"l2.strength": {"log_range": [0.1, 1], "x\n" * 2500: 2}}}, 'factors."l2.strength"."x\\nx'),
    ({"contrasts": [{"name": "a", "of": {"dropout.hidden": 0.4}, "against": {"dropout.hidden": 0}}]},
     "got 0.4, expected a level of the factor: 0, 0.5"),
    ({"factors": {"max_norm.bound": [2.0, 3.0]},
      "contrasts": [{"name": "a", "of": {"max_norm.bound": "off"}, "against": {"max_norm.bound": 3.0}}]},
     'got "off", expected a level of the factor: 2, 3'),
    ({"factors": {"max_norm.bound": [2.0, 3.0]}, "design": {"exclude": [{"max_norm.bound": "off"}]}},
     'got "off", expected a level of the factor'),
    ({"contrasts": [{"name": "a", "of": {"l2.strength": 0.4}, "against": {"dropout.hidden": 0}}]},
     "got a path that is no factor, expected one of dropout.hidden"),
    ({"contrasts": [{"name": "a", "of": {"dropout.hidden": 0}, "against": {"dropout.hidden": 0}}]}, "the same cells"),
    ({"contrasts": [{"name": "dropout.hidden: 0.5 vs 0", "of": {"dropout.hidden": 0.5},
                     "against": {"dropout.hidden": 0}}]}, "a name that no other contrast has"),
    ({"contrasts": {"name": "a"}}, "contrasts: got { name = \"a\" }, expected a list of tables"),
    ({"contrasts": [{"name": "a", "of": {"dropout.hidden": 0.5, "l2.strength": 1},
                     "against": {"dropout.hidden": 0, "l2.strength": 0}}],
      "factors": {"dropout.hidden": [0, 0.5], "l2.strength": [0, 1]}, "design": {"kind": "one_at_a_time"}},
     "levels of a cell of the one_at_a_time design"),
    ({"measure": {"predictions": "train"}}, 'measure.predictions: got "train", expected "auto", "test" or "none"'),
    ({"report": {"markers": [{"label": "x", "when": {"dropout.hidden": 0.5}, "value": "1"}]}}, "markers[0].value"),
    ({"report": {"markers": [{"label": "x", "when": {"dropout.hidden": 0.5}, "value": 1}]},
      "factors": {"dropout.hidden": [0, 0.5], "l2.strength": [0, 1]}}, "which 2 cells match"),
    ({"report": {"markers": [{"label": "x", "when": {"max_norm.bound": "off"}, "value": 1}]},
      "factors": {"max_norm.bound": ["off", 3.0], "l2.strength": [0, 1]}},
     'got { "max_norm.bound" = "off" }, which 2 cells match'),
    ({"report": {"markers": [{"label": "x\ny", "when": {"dropout.hidden": 0.5}, "value": 1}]}}, "one line of 1 to 300"),
    ({"report": {"marker": []}}, 'did you mean "markers"?'),
    ({"primary": {"metric": "accuracy"}}, 'did you mean "test.accuracy"?'),
    ({"factors": {"l1.begin": [0, 0.5]}}, 'factors."l1.begin": got a value of l1, which is off in every cell'),
    ({"factors": {"l1.begin": [0, 0.5]}, "fixed": {"l1.strength": 0.0}}, "expected l1.strength beside it, not off"),
    ({"fixed": {"kl_sparsity.target": 0.1}}, 'fixed."kl_sparsity.target": got a value of kl_sparsity, which is off'),
    ({"fixed": {"jacobian.projections": 2}}, "jacobian.strength beside it"),
    ({"tune": {"fgsm.radius": [0.1, 0.2]}}, 'tune."fgsm.radius": got a value of fgsm, which is off in every cell'),
    ({"fixed": {"early_stopping.strip": 3}}, "early_stopping.gl or early_stopping.pq"),
    ({"model": {"ghost_size": 16}},
     'model.ghost_size: got a setting that does nothing in any cell, expected model.norm = "ghost" beside it'),
    ({"model": {"norm": "batch", "groups": 4}}, 'model.groups: got a setting that does nothing in any cell'),
    ({"model": {"norm": "layer", "norm_momentum": 0.5}}, 'expected model.norm = "batch" or "ghost" beside it'),
    ({"fixed": {"model.norm_place": "after"}}, 'fixed."model.norm_place": got a setting that does nothing in any cell'),
    ({"factors": {"model.norm_epsilon": [1e-5, 1e-3]}}, 'factors."model.norm_epsilon": got a setting'),
    ({"factors": {"model.norm": ["none", "batch"], "model.ghost_size": [32, 16]}},
     'factors."model.ghost_size": got a setting'),
    ({"factors": {"model.norm": ["none", "ghost"], "model.ghost_size": [32, 16]}, "design": {"kind": "one_at_a_time"}},
     "got levels that change nothing: in each pair of cells that differs in it alone it does nothing, expected cells"),
    ({"optimizer": {"schedule": {"every": 3}}}, 'optimizer.schedule.every: got a setting'),
    ({"optimizer": {"schedule": {"name": "cosine", "decay": 0.5}}}, 'expected optimizer.schedule.name = "step" beside'),
    ({"optimizer": {"schedule": {"name": "step", "every": 3, "cycles": 2}}}, 'optimizer.schedule.name = "cosine" besi'),
    ({"factors": {"optimizer.schedule.cycles": [1, 2]}}, 'factors."optimizer.schedule.cycles": got a setting'),
    ({"factors": {"early_stopping.patience": ["off", 3]}, "fixed": {"early_stopping.strip": 3}},
     "expected early_stopping.pq or early_stopping.up that is not off beside it"),
    ({"factors": {"early_stopping.gl": ["off", 3]}, "tune": {"early_stopping.min_delta": [0.0, 0.1]}},
     'tune."early_stopping.min_delta": got a setting that does nothing in any cell, expected early_st'),
    ({"data": {"subset": {"nested": True}}}, "data.subset: got a table that does nothing, expected data.train_s"),
    ({"fixed": {"l1.strength": 1, "l1.begin": 0.8, "l1.end": 0.2}}, "got l1 from 0.8 to 0.2 of the updates at most"),
    ({"factors": {"l1.strength": [0, 1]}, "fixed": {"l1.begin": 1}}, "expected begin before end in some cell"),
    ({"factors": {"l1.strength": [0.1, 0.2], "l2.strength": ["off", 1]}, "design": {"kind": "leave_one_out"}},
     'factors."l1.strength": got 0.1 first, expected "off" first, for leave_one_out'),
    ({"factors": {"early_stopping.patience": ["off", 2.5]}}, "got 2.5, expected an integer in [1, inf]"),
    ({"factors": {"cutout.size": [0, 2.5]}}, 'factors."cutout.size"[1]: got 2.5, expected an integer'),
    ({"factors": {"augment.shift": [0, 0.4]}}, 'factors."augment.shift"[1]: got 0.4, expected an integer'),
    ({"budget": {"max_hours": 6}}, "budget: unknown table budget"),
]  # fmt: skip


@pytest.mark.parametrize(("tables", "words"), REFUSED, ids=lambda v: v if isinstance(v, str) else "")
def test_refuses(tables, words):
    """One wrong thing gives one short line that says what was got, what was expected, or the nearest name."""
    lines = problems_of(make(**tables))
    assert len(lines) == 1
    assert words in lines[0]
    assert lines[0].isprintable()
    assert len(lines[0]) < 700


def test_a_double_among_many_levels_is_found():
    """Of 4,001 levels the last two are one in float32; only the second of them is told."""
    levels = [0, *(float(number) for number in range(1, 4000)), 3999.00000001]
    (line,) = problems_of(make(factors={"l2.strength": levels}))
    assert line.startswith('factors."l2.strength"[4000]: got 3999.00000001, expected levels that differ')


GHOSTS = {"model.norm": ["none", "ghost"], "model.ghost_size": [32, 16]}
ADMITTED = [
    {"model": {"ghost_size": 32, "groups": 8, "norm_place": "before"}},
    {"model": {"norm": "ghost", "ghost_size": 16, "norm_momentum": 0.5}},
    {"model": {"norm_place": "after"}, "factors": {"model.norm": ["none", "layer"]}},
    {"factors": GHOSTS},
    {"factors": GHOSTS, "design": {"exclude": [{"model.norm": "none", "model.ghost_size": 16}]}},
    {"factors": {**GHOSTS, "dropout.hidden": [0, 0.5]}, "design": {"zip": [list(GHOSTS)]}},
    {"factors": {"optimizer.schedule.decay": [0.1, 0.5]}, "optimizer": {"schedule": {"name": "step", "every": 3}}},
    {"factors": {"early_stopping.gl": ["off", 3]}, "fixed": {"early_stopping.min_delta": 0.1},
     "tune": {"early_stopping.patience": ["off", 3]}},
    {"factors": {"data.train_size": [100, 200]}, "data": {"subset": {"nested": True}}},
]  # fmt: skip


@pytest.mark.parametrize("tables", ADMITTED, ids=str)
def test_what_some_cell_switches_on_is_kept(tables):
    """Written defaults, and settings that do something in some cell, are those of a study, whose JSON reads back."""
    study = parse_study(make(**tables))
    assert parse_study(study_json(study)) == study


def test_settings_of_an_own_network_are_its_own():
    """A network given from Python may call a setting as one of regjax' norms, and mean another thing."""

    @part
    class Own(ModelSettings):
        groups: int = 8

        @property
        def num_hidden(self):
            return 0

    assert parse_study(make(model={"name": "custom", "widths": None, "groups": 2}), model=Own).model["groups"] == 2
