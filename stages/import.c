// voxloop-import: other toolkits' weights into our checkpoint, and back.
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/files.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/options.h"
#include "cache/outputs.h"
#include "cache/provenance.h"
#include "cache/up_to_date.h"
#include "cache/publish.h"
#include "cache/torch_file.h"
#include "nn/mismatch.h"
#include "peers/peer_load.h"
#include "peers/peer_sizes.h"
#include "train/checkpoint.h"

typedef struct Settings {
    const char *model, *out, *form, *architecture, *ignore;
    bool export;
} Settings;

// --- import

static bool begins(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static int publish_import(const Program *program, const Settings *s, const PeerEncoder *loaded, Error *error)
{
    char recipe[17];
    if (provenance_recipe(program, recipe, error) < 0)
        return -1;
    if (loaded->without_pooling)
        log_info("the weights are of an encoder without pooling: voxloop-finetune --init starts that anew");
    const ModelInfo info = {loaded->architecture, 0, 0, recipe};
    if (model_publish(s->out, &loaded->parameters, loaded->without_pooling ? PEER_POOLING_PREFIX : NULL,
                      &info, error) < 0)
        return -1;
    return provenance_publish(program, s->out, error);
}

static bool is_ours(const char *path)
{
    Error ignored = {0};
    SafeReader *reader = file_exists(path) && !folder_exists(path) ? safe_open(path, &ignored) : NULL;
    bool ours = reader && safe_metadata(reader, "architecture");
    safe_close(reader);
    return ours;
}

static int import(const Program *program, const Settings *s, Error *error)
{
    if (is_ours(s->model))
        return error_set(error, "%s is a checkpoint of voxloop's already; use it as it is", s->model);
    PeerFile *file = peer_open(s->model, error);
    if (!file)
        return -1;
    PeerEncoder loaded;
    int status = peer_load(file, s->architecture, s->ignore, &loaded, error);
    if (status == 0 && (status = encoder_check_input(loaded.encoder, error)) < 0) {
        error_prefix(error, "%s", peer_path(file));
        peer_encoder_release(&loaded);
    }
    if (status == 0) {
        log_info("%s: %s, %lld tensors", peer_path(file), peer_form_names[peer_weights(file)->form],
                 (long long)loaded.parameters.n_items);
        if (loaded.left_out.n > 0)
            log_info("left out, as no part of the encoder: %lld tensors (%s)", (long long)loaded.left_out.n,
                     loaded.left_out.text);
        status = publish_import(program, s, &loaded, error);
        peer_encoder_release(&loaded);
    }
    peer_close(file);
    return status;
}

// --- export

typedef struct Exported {
    SafeTensor *tensors;
    int64_t n;
} Exported;

static void name_tensors(const SafeReader *model, PeerForm form, Exported *out)
{
    out->tensors = mem_alloc((size_t)safe_count(model) + 1, sizeof(SafeTensor));
    NameList homeless = {0};
    for (int64_t i = 0; i < safe_count(model); i++) {
        SafeTensor tensor = *safe_at(model, i);
        char *name = begins(tensor.name, CLASSIFIER_PREFIX) ? NULL : peer_name(form, tensor.name, 0);
        if (!name) {
            list_name(&homeless, tensor.name);
            continue;
        }
        tensor.name = mem_printf("%s%s", peer_prefix(form), name);
        mem_free(name);
        out->tensors[out->n++] = tensor;
    }
    if (homeless.n > 0)
        log_info("%s has no place for %lld tensors: %s", peer_form_names[form], (long long)homeless.n,
                 homeless.text);
}

static int publish_config(const char *path, const cJSON *config, Error *error)
{
    char *text = cJSON_Print(config);
    int status = publish_text(path, text, error);
    cJSON_free(text);
    return status;
}

static int publish_folder(const Program *program, const char *folder, const Exported *exported,
                          const cJSON *config, Error *error)
{
    static const SafeMetadata metadata[] = {{"format", "pt"}};
    char *weights = path_join(folder, "model.safetensors"), *sizes = path_join(folder, "config.json");
    int status = folder_create(folder, error) == 0 &&
                         safe_publish(weights, exported->tensors, exported->n, metadata, 1, error) == 0
                     ? publish_config(sizes, config, error)
                     : -1;
    if (status == 0)
        status = provenance_publish(program, weights, error);
    mem_free(weights);
    mem_free(sizes);
    return status;
}

// The reference's checkpoints do not tell their sizes: these go into <name>.json, where peer_open() looks.
static int publish_tuned(const Program *program, const char *path, const Exported *exported,
                         const cJSON *config, Error *error)
{
    const char *ending = strrchr(path_name(path), '.');
    char *sizes = mem_printf("%.*s.json", (int)(ending ? ending - path : (ptrdiff_t)strlen(path)), path);
    int status = torch_publish(path, NULL, NULL, exported->tensors, exported->n, error);
    if (status == 0)
        status = publish_config(sizes, config, error);
    provenance_also_wrote(program, sizes);
    mem_free(sizes);
    return status == 0 ? provenance_publish(program, path, error) : -1;
}

// The dictionary in the checkpoint that holds the tensors; NULL: they are the checkpoint.
static const char *group_of(PeerForm form)
{
    return form == PEER_MICROSOFT ? "model" : form == PEER_MFA_CONFORMER ? "state_dict" : NULL;
}

static int publish_export(const Program *program, const Settings *s, PeerForm form, const SafeReader *model,
                          const cJSON *architecture, Error *error)
{
    Exported exported = {0};
    cJSON *config = NULL;
    int status;
    if (peer_config(form, architecture, &config, error) < 0)
        return error_prefix(error, "%s", s->model);
    name_tensors(model, form, &exported);
    if (form == PEER_HUGGING_FACE)
        status = publish_folder(program, s->out, &exported, config, error);
    else if (form == PEER_WAVLM_SSL_SV)
        status = publish_tuned(program, s->out, &exported, config, error);
    else
        status = torch_publish(s->out, group_of(form), config, exported.tensors, exported.n, error) < 0
                     ? -1
                     : provenance_publish(program, s->out, error);
    for (int64_t i = 0; i < exported.n; i++)
        mem_free((char *)exported.tensors[i].name);
    mem_free(exported.tensors);
    cJSON_Delete(config);
    return status;
}

// Ours has one home per encoder unless the user says otherwise.
static PeerForm home_of(const char *encoder)
{
    if (strcmp(encoder, "ecapa") == 0 || strcmp(encoder, "resnet") == 0)
        return PEER_WESPEAKER;
    return strcmp(encoder, "mfa_conformer") == 0 ? PEER_MFA_CONFORMER : PEER_WAVLM_SSL_SV;
}

static int choose_form(const Settings *s, const cJSON *architecture, PeerForm *form, Error *error)
{
    const char *encoder = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(architecture, "encoder"));
    PeerForm home = *form = home_of(encoder ? encoder : "");
    for (int i = 0; i < PEER_FORMS; i++)
        if (strcmp(s->form, peer_form_names[i]) == 0)
            *form = (PeerForm)i;
    bool fits = peer_is_wavlm(*form) ? encoder && strcmp(encoder, "wavlm") == 0 : *form == home;
    return fits ? 0
                : error_set(error, "%s holds the encoder %s, which %s has not", s->model, encoder,
                            peer_form_names[*form]);
}

static int export(const Program *program, const Settings *s, Error *error)
{
    PeerForm form;
    SafeReader *model = NULL;
    cJSON *architecture = model_architecture(s->model, error);
    int status = architecture && choose_form(s, architecture, &form, error) == 0 &&
                         (model = safe_open(s->model, error))
                     ? publish_export(program, s, form, model, architecture, error)
                     : -1;
    safe_close(model);
    cJSON_Delete(architecture);
    return status;
}

// The file beside which the record lies.
static char *artefact_of(const Settings *s)
{
    bool is_folder = s->export && strcmp(s->form, peer_form_names[PEER_HUGGING_FACE]) == 0;
    return is_folder ? path_join(s->out, "model.safetensors") : mem_strdup(s->out);
}

static bool is_up_to_date(const Program *program, const Settings *s)
{
    Content content;
    char **names, **paths, *artefact = artefact_of(s);
    int64_t n = peer_files(s->model, &names, &paths);
    content_of_files(s->model, names, paths, n, &content);
    if (n > 0)
        provenance_stands_for(program, "model", &content);
    bool is = up_to_date(program, artefact);
    content_release(&content);
    strings_free(names, n);
    strings_free(paths, n);
    mem_free(artefact);
    return is;
}

int main(int argc, char **argv)
{
    Settings s = {.form = "auto"};
    const Option options[] = {
        option_required(
            option_input("model", &s.model, "FILE", "weights to read; a folder of Hugging Face's too")),
        option_required(option_output("out", &s.out, "FILE", "what to write (hugging-face: a folder)")),
        option_flag("export", &s.export, "write a peer's form from our checkpoint"),
        option_choice(
            "form", &s.form, "auto|" PEER_FORM_NAMES,
            "form to --export; auto: wespeaker for ecapa and resnet, mfa-conformer, wavlm-ssl-sv for wavlm"),
        option_text("architecture", &s.architecture, "KEY=VALUE,...",
                    "sizes of the encoder that an imported checkpoint does not tell"),
        option_text("ignore", &s.ignore, "PREFIX,...",
                    "tensors to leave out, by the names that an error lists"),
        {0}};
    Program program = {
        .name = "import",
        .summary = "Reads other toolkits' weights into our checkpoint, and writes them back.",
        .usage = "[options] --model FILE --out FILE",
        .details = "Reads PyTorch checkpoints (.pt, .bin: tensors and plain containers only, nothing "
                   "is executed) and safetensors of WavLM (Microsoft, Hugging Face, wavlm_ssl_sv), "
                   "wespeaker's ECAPA-TDNN and ResNet and the authors' MFA-Conformer; the form is recognised "
                   "by the names."};
    program_begin(&program, options, argc, argv);
    if (s.export && (s.architecture || s.ignore))
        program_misuse(
            &program,
            "--architecture and --ignore are for reading other toolkits' weights, not for --export");
    if (!s.export && strcmp(s.form, "auto") != 0)
        program_misuse(&program, "--form is for --export; what is read tells its form by its names");
    if (is_up_to_date(&program, &s))
        return 0;
    outputs_check(&program, s.export && strcmp(s.form, "hugging-face") == 0 ? "out" : NULL);
    Error error = {0};
    if ((s.export ? export(&program, &s, &error) : import(&program, &s, &error)) < 0)
        return program_fail(&program, &error);
    return program_done(&program, "%s", s.out);
}
