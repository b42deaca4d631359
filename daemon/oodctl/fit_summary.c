/* fit: what was made, for people. */
#include <stdio.h>
#include <string.h>

#include "daemon/oodctl/fit.h"

static void print_classes(const struct fit *fit)
{
    char fits[CTL_COUNT_TEXT], calibrates[CTL_COUNT_TEXT];
    char *const *labels = fit->bundle->labels;
    size_t width = 5;
    for (size_t k = 0; k < fit->classes; k++)
        width = strlen(labels[k]) > width ? strlen(labels[k]) : width;
    width = width < 40 ? width : 40;
    printf("\n  %-*s  %8s  %11s%s\n", (int)width, "class", "fit", "calibration", fit->labelled ? "  accuracy" : "");
    for (size_t k = 0; k < fit->classes; k++) {
        printf("  %-*s  %8s  %11s", (int)width, labels[k], ctl_count(fit->fit_counts[k], fits),
               ctl_count(fit->calibration_counts[k], calibrates));
        if (fit->labelled && fit->seen[k] > 0)
            printf("  %6.2f %%", 100 * (double)fit->correct[k] / (double)fit->seen[k]);
        putchar('\n');
    }
    putchar('\n');
}

static void print_accuracy(const struct fit *fit)
{
    char text[CTL_COUNT_TEXT];
    size_t seen = 0, correct = 0;
    for (size_t k = 0; k < fit->classes; k++) {
        seen += fit->seen[k];
        correct += fit->correct[k];
    }
    double accuracy = (double)correct / (double)seen;
    printf("accuracy        %.2f %% of %s labelled pictures\n", 100 * accuracy, ctl_count(seen, text));
    if (accuracy < 0.5 && accuracy < 2.0 / (double)fit->classes)
        ctl_say("fit: accuracy %.2f %%: are the labels in the network's order, is the preprocessing the network's?", 100 * accuracy);
}

static void print_convolution(const struct fit *fit)
{
    char text[CTL_COUNT_TEXT];
    const struct fit_agreement *agreement = &fit->agreement;
    if (fit->convolution == OOD_CONVOLUTION_WINOGRAD)
        printf("convolution     winograd: scores of %s pictures within %.2g of direct convolution\n", ctl_count(agreement->count, text), agreement->largest);
    else if (agreement->count > 0)
        printf("convolution     direct: winograd does not agree with it\n");
    else
        printf("convolution     direct%s\n", fit->bundle->detector == NULL && strcmp(fit->options.convolution, "direct") != 0 ? ": the network has no convolution for winograd" : "");
}

static void print_detector(const struct fit *fit)
{
    const struct ood_detector *detector = fit->bundle->detector;
    char a[CTL_COUNT_TEXT], b[CTL_COUNT_TEXT];
    size_t lacking = 0;
    for (size_t k = 0; k < fit->classes; k++)
        lacking += !ood_has_prototype(&fit->bundle->judge, k);
    printf("detector        %s: %s candidates, %s energy\n", detector->family, ctl_count(ood_decoder_candidates(fit->decoder), a),
           ood_detector_energy(detector) == OOD_ENERGY_JOINT ? "joint" : "softmax");
    if (fit->annotations.picture_count > 0)
        printf("annotations     AP50 %.4f; score limit %.4f, F1 %.4f; %s of %s detections match\n", fit->ap50, detector->limit, fit->best_f1,
               ctl_count(fit->matched, a), ctl_count(fit->images.count, b));
    else
        printf("annotations     none: prototypes are of confident detections; score limit %.4f, as declared\n", detector->limit);
    printf("prototypes      %zu classes, %zu without\n", fit->classes - lacking, lacking);
}

void fit_summary(const struct fit *fit, double seconds)
{
    const struct ood_bundle *bundle = fit->bundle;
    const struct ood_judge *judge = &bundle->judge;
    const struct ood_preprocess *p = &bundle->input;
    char a[CTL_COUNT_TEXT], b[CTL_COUNT_TEXT];
    size_t unreadable = fit->images.unreadable + fit->calibration.unreadable + fit->outliers.unreadable;
    size_t skipped = fit->images.skipped + fit->calibration.skipped + fit->outliers.skipped;
    size_t all = bundle->detector != NULL ? fit->picture_count : fit->images.count + fit->calibration.count + fit->outliers.count;
    printf("bundle          %s (%s, version %.12s)\n", fit->options.out, bundle->name, bundle->version);
    printf("network         %s: %zu classes from %s, %zu features from %s\n", ctl_base_name(fit->options.model), fit->classes,
           bundle->logits_tap, fit->dimension, bundle->features_tap);
    printf("input           %s, %zux%zu %s, preset %s%s\n", bundle->input_tensor, p->width, p->height, ood_channels_name(p->channels),
           fit->preset, fit->preset_guessed ? " (by the input's size)" : "");
    if (bundle->detector != NULL)
        print_detector(fit);
    printf("%s      %s to fit, %s to calibrate", bundle->detector != NULL ? "detections" : "pictures  ", ctl_count(fit->fit_total, a), ctl_count(fit->calibration_total, b));
    if (fit->outliers.count > 0)
        printf(", %s outliers", ctl_count(fit->outliers.count, a));
    printf(", %zu unreadable", unreadable);
    printf(skipped > 0 ? ", %zu other files left out\n" : "\n", skipped);
    if (fit->labelled)
        print_accuracy(fit);
    else if (bundle->detector == NULL)
        printf("labels          none: each picture counts for the class the network gives it\n");
    if (fit->labels_key != NULL)
        printf("class names     of the network's metadata (%s)\n", fit->labels_key);
    if (fit->classes <= 40 && bundle->detector == NULL)
        print_classes(fit);
    if (fit->temperature_auroc > 0)
        printf("temperature     %g (chosen: AUROC %.4f of E)\n", judge->temperature, fit->temperature_auroc);
    printf("energy          mean %.4f, deviation %.4f\n", judge->energy_mean, judge->energy_std);
    printf("representation  mean %.5f, deviation %.5f\n", judge->representation_mean, judge->representation_std);
    printf("beta            %g", judge->beta);
    if (fit->beta_from == OOD_BETA_OUTLIERS)
        printf(" (chosen: AUROC %.4f between the fit pictures and the outliers)\n", fit->outlier_auroc);
    else if (fit->beta_from == OOD_BETA_BACKGROUND)
        printf(" (chosen: AUROC %.4f between objects and background)\n", fit->outlier_auroc);
    else
        printf(" (default)\n");
    printf("threshold       %.4f at alpha %g%s: %.2f %% of the calibration pictures are accepted\n", judge->threshold, judge->alpha,
           judge->per_class ? ", per class" : "", 100 * fit->accepted);
    if (judge->alpha_review > judge->alpha)
        printf("review          below %.4f at alpha %g: %.2f %%\n", judge->review_threshold, judge->alpha_review, 100 * fit->reviewed);
    print_convolution(fit);
    printf("time            %.1f s, %.0f pictures/s on %zu threads\n", seconds, (double)all / seconds, fit_threads(fit));
}
