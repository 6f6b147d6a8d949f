#!/usr/bin/env Rscript
# One public outbreak detector on a file of daily counts, from the R package `surveillance`.
#
#   Rscript peers.R COUNTS.csv OUT.csv PEER START [SERIES]
#
# COUNTS.csv: `date`, then one column per series, every day once. OUT.csv: date, series, algo, score, alarm, seconds, for each day from START on;
# `score` is higher = more unusual, `alarm` the detector's own (0/1), `seconds` what all days of the series took. SERIES: only so many of them,
# evenly spaced. Each detector sees a day and what came before it, nothing later.
#
#   C1, C2, C3         EARS (Hutwagner et al. 2003; Fricker et al. 2008): a day against the seven days before, or two days earlier
#   C1-7, C2-7, C3-7   the same on 7-day totals
#   GLR, GLR-28        negative-binomial likelihood ratio chart (Hoehle & Paul 2008) around a log-linear mean: fitted once, and anew every 28 days
#   Bayes-7            Bayes system (Riebler 2004) on 7-day totals that end on the day
#   Farrington-7, -1   Farrington flexible (Noufaily et al. 2013) on those, and on the counts of one weekday: slow, to check the numpy version with
suppressPackageStartupMessages(library(surveillance))

ALPHA <- 0.01        # of the detectors' own alarms
SIGMA <- 0.5         # least standard deviation of EARS: what its authors advise for sparse series
REFIT <- 28          # days between two fits of the mean of GLR-28, as the product refits
LOOK <- 30           # days that GLR looks back
LIMIT <- 5           # of GLR's own alarms, after which it begins anew
YEARS <- 5           # that Farrington's method looks back, if there are as many
BAYES <- c(years = 2, weeks = 4)

arguments <- commandArgs(TRUE)
counts <- read.csv(arguments[1], check.names = FALSE)
peer <- arguments[3]
dates <- as.Date(counts$date)
stopifnot(all(diff(dates) == 1))
Y <- as.matrix(counts[, -1, drop = FALSE])
storage.mode(Y) <- "double"
if (length(arguments) > 4) Y <- Y[, unique(round(seq(1, ncol(Y), length.out = as.integer(arguments[5])))), drop = FALSE]
days <- which(dates >= as.Date(arguments[4]))

week <- function(x) as.numeric(stats::filter(x, rep(1, 7), sides = 1))

ears <- function(x, method) {
  x[is.na(x)] <- 0   # the first six days of 7-day totals
  own <- earsC(sts(x), control = list(range = days, method = method, alpha = ALPHA, minSigma = SIGMA))
  lag <- if (method == "C1") 0 else 2
  z <- function(t) {
    base <- vapply(t, function(i) x[(i - lag - 7):(i - lag - 1)], numeric(7))
    (x[t] - colMeans(base)) / pmax(apply(base, 2, sd), SIGMA)
  }
  score <- z(days)
  if (method == "C3") score <- score + pmax(0, z(days - 1) - 1) + pmax(0, z(days - 2) - 1)   # of three days, as its authors define it
  data.frame(t = days, score = score, alarm = as.integer(own@alarm))
}

glr <- function(x, refit) {
  angle <- 2 * pi * seq_along(x) / 365.25
  design <- data.frame(y = x, t = seq_along(x) / 365.25, weekday = factor(format(dates, "%u")),
                       c1 = cos(angle), s1 = sin(angle), c2 = cos(2 * angle), s2 = sin(2 * angle))
  mean <- numeric(0)
  alpha <- NULL
  for (first in seq(min(days), max(days), by = refit)) {
    past <- design[1:(first - 1), ]
    fit <- suppressWarnings(glm(y ~ t + weekday + c1 + s1 + c2 + s2, family = poisson, data = past))
    if (is.null(alpha)) alpha <- max(sum((past$y - fitted(fit))^2 - fitted(fit)) / sum(fitted(fit)^2), 1e-4)   # moments
    block <- first:min(first + refit - 1, max(days))
    mean <- c(mean, pmax(predict(fit, design[block, ], type = "response"), 1e-3))
  }
  chart <- algo.glrnb(create.disProg(seq_along(x), x, 0 * x, freq = 365, start = c(2000, 1)),
                      control = list(range = days, c.ARL = LIMIT, mu0 = mean, alpha = alpha, dir = "inc", ret = "value", Mtilde = 1, M = LOOK))
  score <- as.numeric(chart$upperbound)
  data.frame(t = days, score = ifelse(is.finite(score), score, 0), alarm = as.integer(chart$alarm))
}

# Every day ends a week: seven series of weeks, of each only the days asked for. `total` adds up a week, otherwise its last day alone stands for it.
weekly <- function(x, total, detect) {
  parts <- lapply(0:6, function(phase) {
    ends <- days[days %% 7 == phase]
    all <- seq(phase + 7, max(ends), by = 7)
    values <- if (total) week(x)[all] else x[all]
    k <- match(ends, all)
    cbind(t = ends, detect(values, k))
  })
  do.call(rbind, parts)
}

bayes7 <- function(x) weekly(x, TRUE, function(v, k) {
  years <- min(BAYES[["years"]], (min(k) - BAYES[["weeks"]] - 1) %/% 52)
  made <- algo.bayes(create.disProg(seq_along(v), v, 0 * v, freq = 52, start = c(2000, 1)),
                     control = list(range = k, b = years, w = BAYES[["weeks"]], actY = TRUE, alpha = ALPHA))
  data.frame(score = v[k] / pmax(as.numeric(made$upperbound), 1e-9), alarm = as.integer(made$alarm))
})

farrington <- function(x, total) weekly(x, total, function(v, k) {
  years <- min(YEARS, (min(k) - 4) %/% 52)
  made <- suppressWarnings(farringtonFlexible(sts(v, start = c(2000, 1), frequency = 52), control = list(
    range = k, b = years, w = 3, reweight = TRUE, weightsThreshold = 2.58, alpha = ALPHA, trend = TRUE, pThresholdTrend = 1, limit54 = c(5, 4),
    noPeriods = 10, pastWeeksNotIncluded = 26, thresholdMethod = "nbPlugin", glmWarnings = FALSE)))
  expected <- as.numeric(made@control$expected)
  score <- (v[k] - expected) / pmax(as.numeric(made@upperbound) - expected, 1e-9)
  data.frame(score = ifelse(is.finite(score), score, 0), alarm = as.integer(ifelse(is.na(made@alarm), 0, made@alarm)))
})

detect <- switch(peer,
  C1 = , C2 = , C3 = function(x) ears(x, peer),
  `C1-7` = , `C2-7` = , `C3-7` = function(x) ears(week(x), substr(peer, 1, 2)),
  GLR = function(x) glr(x, length(days)),
  `GLR-28` = function(x) glr(x, REFIT),
  `Bayes-7` = bayes7,
  `Farrington-7` = function(x) farrington(x, TRUE),
  `Farrington-1` = function(x) farrington(x, FALSE),
  stop("unknown peer ", peer))

rows <- lapply(colnames(Y), function(name) {
  begun <- proc.time()[["elapsed"]]
  made <- detect(Y[, name])
  data.frame(date = dates[made$t], series = name, algo = peer, score = signif(made$score, 7), alarm = made$alarm,
             seconds = proc.time()[["elapsed"]] - begun)
})
half <- paste0(arguments[2], ".half")
write.csv(do.call(rbind, rows), half, row.names = FALSE)
invisible(file.rename(half, arguments[2]))
