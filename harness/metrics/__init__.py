"""Pure functions of tensors: numbers from numbers. Nothing here knows a plugin, a dataset or a file.

Standard scores come from torchmetrics wherever it gives the same number, in float64; it is imported in the function
that needs it, and preloaded for cells. What stays own says why where it stands, and is equal to it in a test.

score                          from
accuracy                       multiclass_stat_scores, average="micro": its counts, divided in float64
balanced accuracy              multiclass_stat_scores, average="none": its counts; its own mean counts absent classes
mean squared, absolute error   mean_squared_error, mean_absolute_error with an output for each image
calibration error              own: torchmetrics' is float32, and a confidence of exactly 1 has a bin of its own
negative log likelihood        own: from probabilities, none below 1e-7; perplexity takes logits and may be infinite
PSNR                           own: from errors, 100 dB for a copy; theirs is infinite there, and off by 1e-6 dB
SSIM                           own: a window that fits small images; theirs has no value there, and is 100 times slower
Fréchet distance (FID)         own: from features, for fewer images than features too; theirs owns a network
kernel distance (KID)          own: over all pairs, in blocks, of sets of any size; theirs draws random subsets
debiased Fréchet, sliced Wasserstein, MIG, SAP, DCI, rates of codes, paths, attribute edits    own: not in torchmetrics
mutual information             own: of many dimensions at once, in float64
softmax regression, neighbours, intervals, time and memory    own: no scores
bootstrap, profiles, ranks, signed ranks across datasets      own: batched; rliable, scikit-posthocs, autorank and
                               baycomp, which they equal in tests, draw one by one or need versions that exclude others

In evaluations: NMI and ARI by scikit-learn (torchmetrics' are float32, and its ARI overflows from some 80,000 images);
accuracy of matched clusters own (cluster_accuracy needs one more package); R2 own (r2_score takes small sums for 0);
precision, recall, density, coverage, RankMe, alignment, uniformity own (not in torchmetrics). t-SNE is scikit-learn's.
"""
