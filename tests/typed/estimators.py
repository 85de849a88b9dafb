"""Estimators for scikit-learn, and the types of what they give."""

from __future__ import annotations

import numpy as np

from xpnet import Dense, Network
from xpnet.sklearn import MLPClassifier, MLPRegressor, XPClassifier, XPRegressor

X, y = np.zeros((10, 2)), np.zeros(10, int)

classifier: MLPClassifier = MLPClassifier((16,), dropout=0.1, random_state=0).fit(X, y)
again: MLPClassifier = classifier.partial_fit(X, y, classes=[0, 1])
regressor: MLPRegressor = MLPRegressor(loss="poisson").fit(X, y).partial_fit(X, y)
features: int = classifier.n_features_in_ + regressor.n_features_in_
network: Network = classifier.network_
share: float = classifier.score(X, y)
classes: list[int] = classifier.classes_.tolist()

own: XPClassifier = XPClassifier([Dense(16), "relu", Dense(3)], epochs=20).fit(X, y).partial_fit(X, y)
real: XPRegressor = XPRegressor(optimizer="adam").fit(X, y)
losses: list[float] = own.history_["loss"]
epochs: int = own.n_iter_ + real.n_iter_
