# The rules that write to WORK; included by Makefile.pipeline once the goals are known. Every round asked for
# gets explicit rules, so any N works.

# ---- what a stage is told ------------------------------------------------------------------------------------

# keys SECTION: a section of the preset as `key=value` words. Keys of [finetune] reach the stage through
# --config; those of [finetune iter2] hold in round 2 only, those of [finetune lmft] in large-margin
# fine-tuning, those of [finetune gate] in the rounds iterN-gate, those of [finetune warmup] in all rounds that start
# from WARMUP; these are passed with --set. The methods that
# `compare` compares are the same for every preset and have a file of their own.
methods    := $(source)/pipelines/compare.methods
keys       = $(shell awk -v section='$(1)' -f $(source)/pipelines/keys.awk $(config) $(methods))
round_keys = $(if $(2),$(call keys,$(1) $(call variant,$(2))) $(if $(WARMUP),$(call keys,$(1) warmup)))
# variant ROUND: lmft of iter3-gate-lmft, plain of iter1-plain2; the round itself otherwise.
variant    = $(patsubst plain%,plain,$(lastword $(subst -, ,$(1))))

pipeline_keys  := $(call keys,pipeline)
init           := $(or $(INIT),$(patsubst init=%,%,$(filter init=%,$(pipeline_keys))),none)
common_options  = --config $(config) --seed $(call seed,$(1),$(2)) --threads $(THREADS)
# The demo corpus is the same whatever the loop's seed; rounds of another seed are called iterN-plain2, 3 ...
seed            = $(if $(filter demo-corpus,$(1)),1,$(if $(findstring -plain,$(2)),$(call other_seed,$(2)),$(SEED)))
other_seed      = $(shell echo $$(($(SEED) - 1 + $(lastword $(subst plain, ,$(1))))))
augmentation   := $(if $(NOISE),--noise $(NOISE)) $(if $(RIR),--rir $(RIR))
options_pretrain := $(augmentation)
options_finetune := $(augmentation)
options_warmup   := $(augmentation)
launch_pretrain  := $(LAUNCH)
launch_finetune  := $(LAUNCH)
launch_warmup    := $(LAUNCH)

# ---- when a stage runs ---------------------------------------------------------------------------------------

# forced STAGE,ROUND: FORCE when the user asked for iterN-STAGE, or for a stage of that round before it.
forced = $(if $(filter $(addprefix $(2)-,$(upto_$(1))),$(goals)),FORCE)
upto_pretrain := pretrain
upto_finetune := finetune
upto_ivector  := ivector
upto_extract  := pretrain ivector finetune extract
upto_cluster  := $(upto_extract) cluster
upto_evaluate := $(upto_cluster) evaluate

# recipe STAGE,ROUND,OPTIONS: all that decides a stage's bytes, but for the content of its inputs and the threads.
recipe = $(strip $(1) $(3) --seed $(call seed,$(1),$(2)) $(call keys,$(1)) $(call round_keys,$(1),$(2)))
same   = $(and $(findstring x$(1)x,x$(2)x),$(findstring x$(2)x,x$(1)x))
# stale FILE,RECIPE: FORCE unless FILE holds RECIPE.
stale  = $(if $(call same,$(strip $(file <$(1))),$(2)),,FORCE)

# stage_rule OUTPUTS,STAGE,ROUND,INPUTS,OPTIONS,ORDER,MARK: one run of voxloop-STAGE. The first output names
# the recipe's file. ROUND is iterN, or empty outside the rounds; MARK is text that makes the recipe stale when
# it changes without being an option.
define stage_rule
$(1) &: $(4) $(call forced,$(2),$(3)) $(call stale,$(call beside,$(1),recipe),$(call recipe,$(2),$(3),$(5) $(7))) \
    | $(built) $(6)
	$(if $(dry),,@mkdir -p $(dir $(firstword $(1)))$(if $(filter-out 1,$(JOBS)), && echo "--- $(firstword $(1))"))
	$$(Q)$(strip $(launch_$(2)) $(BIN)/voxloop-$(2) $(5) $(options_$(2)) $(call common_options,$(2),$(3)) \
	  $(addprefix --set ,$(call round_keys,$(2),$(3))))
	$(if $(dry),,@printf '%s\n' '$(call recipe,$(2),$(3),$(5) $(7))' >$(call beside,$(1),recipe))
.PRECIOUS: $(1)
endef
beside = $(dir $(firstword $(1))).$(notdir $(firstword $(1))).$(2)

# digest FILE: the name of its digest. digest_rule FILE[,DIGEST]: writes it, only when the content changed.
digest = $(call beside,$(1),digest)
define digest_rule
$(or $(2),$(call digest,$(1))): $(1)
	$(if $(dry),,@mkdir -p $$(@D) && b2sum <$$< >$$@.new && { cmp -s $$@.new $$@ && rm $$@.new || mv $$@.new $$@; })
endef

# ---- the corpora ---------------------------------------------------------------------------------------------

demo := $(if $(DATA),,$(WORK)/demo)
ifneq ($(demo),)
  $(eval $(call stage_rule,$(demo)/corpus.tsv,demo-corpus,,,--out $(demo)))
  $(eval $(call digest_rule,$(demo)/corpus.tsv))
endif
train_audio := $(or $(DATA),$(demo)/train)
test_audio  := $(or $(TEST),$(if $(demo),$(demo)/test))
trials      := $(or $(TRIALS),$(if $(TEST),,$(if $(demo),$(demo)/test.trials)))
truth       := $(or $(TRUTH),$(if $(demo),$(demo)/train.utt2spk))

in_demo = $(and $(demo),$(filter $(demo)/%,$(1)))
# made FILE: what to depend on for FILE: the demo corpus as a whole for its parts, nothing for a folder (its
# listing stands in the recipe), the file itself otherwise.
made    = $(if $(call in_demo,$(1)),$(call digest,$(demo)/corpus.tsv),$(if $(wildcard $(1)/.),,$(1)))
# listing PATH: digest of a folder's file names, sizes and times: new or changed recordings are seen.
listing = $(if $(call in_demo,$(1)),,listing=$(shell \
  find -L $(1) -type f -printf '%P %s %T@\n' 2>/dev/null | LC_ALL=C sort | b2sum | cut -c 1-16))

prepare_rule = $(call stage_rule,$(2)/utts.tsv,prepare,,$(call made,$(1)),--audio $(1)$(if $(3), --copies $(3)) --out $(2),,$(call listing,$(1)))
# corpus_digest_rule FOLDER: a digest of all shards. Recordings that only look new, because they were copied, are
# prepared again, but nothing is trained again; utts.tsv gets its old time back, so that shards are read only once.
define corpus_digest_rule
$(call digest,$(1)/utts.tsv): $(1)/utts.tsv
	$(if $(dry),,@cat $$< $(1)/audio-*.tar.zst | b2sum >$$@.new && \
	  { cmp -s $$@.new $$@ && rm $$@.new && touch -r $$@ $$< || mv $$@.new $$@; })
endef
$(foreach corpus,$(WORK)/audio $(if $(test_audio),$(WORK)/test),$(eval $(call corpus_digest_rule,$(corpus))))
$(eval $(call prepare_rule,$(train_audio),$(WORK)/audio))
# A list of trials may name any recording: copies stay.
$(if $(test_audio),$(eval $(call prepare_rule,$(test_audio),$(WORK)/test,keep)))

# ---- the rounds ----------------------------------------------------------------------------------------------

# Given weights are ours already if they are safetensors; other toolkits' are imported.
wavlm := $(if $(filter-out %.safetensors,$(WAVLM)),$(WORK)/wavlm.safetensors,$(WAVLM))
ifneq ($(wavlm),$(WAVLM))
  $(eval $(call stage_rule,$(wavlm),import,,$(call made,$(WAVLM)),--model $(WAVLM) --out $(wavlm),,$(if $(wildcard $(WAVLM)/.),$(call listing,$(WAVLM)))))
endif

# The encoder's own pre-training: masked prediction on the audio.
$(if $(filter-out masked,$(WARMUP)),$(error WARMUP=$(WARMUP) is not known; it is masked))
$(if $(and $(WARMUP),$(WAVLM)),$(error WAVLM and WARMUP exclude each other: both are what rounds start from))
warmup := $(if $(WARMUP),$(WORK)/warmup/model.safetensors)
ifneq ($(warmup),)
  $(eval $(call stage_rule,$(warmup),warmup,,$(call digest,$(WORK)/audio/utts.tsv),--audio $(WORK)/audio --out $(warmup)))
  $(eval $(call digest_rule,$(warmup)))
endif

# What the loop starts from: DINO, or i-vectors (init = ivector). What finetune starts from: given weights, or
# WARMUP's, init = pretrain (iter0's encoder), previous, none.
start_pretrain = $(WORK)/iter0/model.safetensors
start_previous = $(2)/model.safetensors
start_none     =
start_ivector  =
$(if $(filter none pretrain previous ivector,$(init)),,$(error INIT=$(init) is not known; it is none, pretrain, previous or ivector))
first_training = $(if $(filter ivector,$(init)),$(ivector_rule),$(pretrain_rule))
start = $(or $(wavlm),$(warmup),$(start_$(init)))

# Without trials, pairs of halves of the recordings themselves; those of 10 000 recordings are enough.
evaluated       := $(if $(trials),$(if $(test_audio),test-embeddings,embeddings),halves).tar.zst
evaluate_audio  := $(WORK)/$(if $(test_audio),test,audio)
evaluate_trials := $(if $(trials),--trials $(trials),--label-free)
halves          := --halves 10000
# crops = 15 in [pipeline]: scores are averaged with those of so many crops of 4 s.
crops           := $(if $(trials),$(filter-out 0,$(patsubst crops=%,%,$(filter crops=%,$(pipeline_keys)))))
crop_option      = $(if $(crops),--crop-embeddings $(1)/crops.tar.zst)

# Normalised scores take the round's own pseudo-speakers as their cohort.
norm   := $(filter-out norm=none,$(filter norm=%,$(call keys,evaluate)))
cohort  = $(if $(norm),--cohort $(1)/embeddings.tar.zst --cohort-labels $(1)/labels.tar.zst)
cohort_digests = $(if $(norm),$(call digest,$(1)/embeddings.tar.zst) $(call digest,$(1)/labels.tar.zst))

# Rounds that train the pair head score with it, too.
pairs     = $(findstring pair,$(filter objectives=%,$(call round_keys,finetune,$(2))))
pair_head = $(if $(pairs),--pair-head $(1)/model.safetensors)

# round_rules FOLDER,PREVIOUS,ROUND,TRAINING: PREVIOUS is empty in round 0; TRAINING is the rule for the model.
define round_rules
$(4)
$(call digest_rule,$(1)/model.safetensors)
$(call extract_rule,$(1),$(WORK)/audio,embeddings.tar.zst,$(3))
$(call digest_rule,$(1)/embeddings.tar.zst)
$(if $(test_audio),$(call extract_rule,$(1),$(WORK)/test,test-embeddings.tar.zst,$(3)))
$(if $(test_audio),$(call digest_rule,$(1)/test-embeddings.tar.zst))
$(if $(trials),,$(call extract_rule,$(1),$(evaluate_audio),halves.tar.zst,$(3),$(halves)))
$(if $(trials),,$(call digest_rule,$(1)/halves.tar.zst))
$(if $(crops),$(call extract_rule,$(1),$(evaluate_audio),crops.tar.zst,$(3),--crops $(crops)))
$(if $(crops),$(call digest_rule,$(1)/crops.tar.zst))
$(call cluster_rule,$(1),$(2),$(3))
$(call digest_rule,$(1)/labels.tar.zst)
$(call evaluate_rule,$(1),,$(3),$(call pair_head,$(1),$(3)))
$(3): $(1)/clusters.json $(1)/eval.json
	$$(Q)$(BIN)/voxloop-report --work $(patsubst %/,%,$(dir $(1))) --quiet --line $(3)
$(filter $(3)-%,$(goals)): $(3)
endef

pretrain_rule = $(call stage_rule,$(1)/model.safetensors,pretrain,$(3),$(call digest,$(WORK)/audio/utts.tsv),\
  --audio $(WORK)/audio --out $(1)/model.safetensors)
ivector_rule  = $(call stage_rule,$(1)/model.safetensors,ivector,$(3),$(call digest,$(WORK)/audio/utts.tsv),\
  --audio $(WORK)/audio --out $(1)/model.safetensors)
finetune_rule = $(call stage_rule,$(1)/model.safetensors,finetune,$(3),\
  $(call digest,$(WORK)/audio/utts.tsv) $(call digest,$(2)/labels.tar.zst) $(or $(wavlm),$(if $(start),$(call digest,$(start)))),\
  --audio $(WORK)/audio --labels $(2)/labels.tar.zst $(addprefix --init ,$(start)) --out $(1)/model.safetensors,$(notdir $(2)))
# Large margins: the round's model goes on, classes included, on the labels that it was trained on.
lmft_rule     = $(call stage_rule,$(1)/model.safetensors,finetune,$(4),\
  $(call digest,$(WORK)/audio/utts.tsv) $(call digest,$(3)/labels.tar.zst) $(call digest,$(2)/model.safetensors),\
  --audio $(WORK)/audio --labels $(3)/labels.tar.zst --init $(2)/model.safetensors --keep-classes \
  --out $(1)/model.safetensors)
extract_rule  = $(call stage_rule,$(1)/$(3),extract,$(4),$(call digest,$(2)/utts.tsv) $(call digest,$(1)/model.safetensors),\
  --audio $(2) --model $(1)/model.safetensors --out $(1)/$(3) $(5))
cluster_rule  = $(call stage_rule,$(1)/labels.tar.zst $(1)/clusters.json,cluster,$(3),\
  $(call digest,$(1)/embeddings.tar.zst) $(if $(2),$(call digest,$(2)/labels.tar.zst)) $(if $(truth),$(call made,$(truth))),\
  --embeddings $(1)/embeddings.tar.zst --out $(1)/labels.tar.zst --report $(1)/clusters.json \
  $(if $(2),--previous $(2)/labels.tar.zst) $(addprefix --truth ,$(truth)))
evaluate_rule = $(call stage_rule,$(1)/eval.json $(1)/scores.txt,evaluate,$(3),\
  $(call digest,$(1)/$(evaluated)) $(if $(trials),$(call made,$(trials))) $(cohort_digests) $(if $(crops),$(call digest,$(1)/crops.tar.zst)),\
  --embeddings $(1)/$(evaluated) --audio $(evaluate_audio) $(evaluate_trials) $(cohort) $(crop_option) $(4) \
  --scores $(1)/scores.txt --report $(1)/eval.json)

folder   = $(WORK)/iter$(1)
earlier  = $(if $(filter-out 0,$(1)),$(call folder,$(shell echo $$(($(1)-1)))))
training = $(if $(filter 0,$(1)),$(call first_training,$(folder),,iter0),$(call finetune_rule,$(folder),$(earlier),iter$(1)))
round    = $(call round_rules,$(folder),$(earlier),iter$(1),$(training))
lmft     = $(call round_rules,$(folder)-lmft,$(folder),iter$(1)-lmft,$(call lmft_rule,$(folder)-lmft,$(folder),$(earlier),iter$(1)-lmft))
$(foreach n,$(rounds),$(eval $(call round,$(n))))
$(foreach n,$(patsubst iter%-lmft,%,$(filter %-lmft,$(goals))),$(eval $(call lmft,$(n))))

# ---- the ablation: each part switched on in turn, all from the same iter0 ------------------------------------

# Rounds of their own in WORK/ablation, ROUND:BEFORE.
ablation_rounds := iter1-plain1:iter0 iter1-plain2:iter0 iter1-plain3:iter0 iter1-gate:iter0 iter1-correct:iter0 \
  iter2-correct:iter1-correct iter3-correct:iter2-correct
ablation_table  := iter0,iter1-plain*,iter1-gate,iter1-correct,iter2-correct,iter3-correct,iter3-correct-lmft
ablation_folder  = $(if $(filter iter0,$(1)),$(WORK),$(WORK)/ablation)/$(1)
ablation_round   = $(call round_rules,$(call ablation_folder,$(1)),$(call ablation_folder,$(2)),$(1),\
  $(call finetune_rule,$(call ablation_folder,$(1)),$(call ablation_folder,$(2)),$(1)))
ablation_lmft    = $(call round_rules,$(call ablation_folder,$(1)-lmft),$(call ablation_folder,$(1)),$(1)-lmft,\
  $(call lmft_rule,$(call ablation_folder,$(1)-lmft),$(call ablation_folder,$(1)),$(call ablation_folder,$(2)),$(1)-lmft))
ifneq ($(filter ablation,$(goals)),)
  $(foreach variant,plain gate correct lmft,$(if $(call keys,finetune $(variant)),,\
    $(error $(config) has no section [finetune $(variant)], which the ablation needs)))
  $(foreach pair,$(ablation_rounds),$(eval $(call ablation_round,$(firstword $(subst :, ,$(pair))),$(lastword $(subst :, ,$(pair))))))
  $(eval $(call ablation_lmft,iter3-correct,iter2-correct))
endif
ablation: $(foreach pair,$(ablation_rounds),$(firstword $(subst :, ,$(pair)))) iter3-correct-lmft
	@ln -sfn ../iter0 $(WORK)/ablation/iter0
	$(Q)$(BIN)/voxloop-report --work $(WORK)/ablation --quiet --table '$(ablation_table)'

# ---- the comparison: other objectives, encoders and starts, all on the same labels -----------------------------

# Rounds of their own in WORK/compare: METHOD on iter0's pseudo-speakers, and, where the true speakers are known,
# true-METHOD on those. Methods are the sections [finetune METHOD] of compare.methods, plain1 to plain3 AAM-softmax alone
# with three seeds. i-vectors are trained as a round 0, are the teacher, and start a loop of their own.
compare_folder  := $(WORK)/compare
known_methods   := $(shell sed -n 's/^\[finetune \([^ ]*\)\]$$/\1/p' $(methods))
$(foreach method,$(filter-out $(known_methods),$(METHODS)),$(error METHODS: $(method) is not known; $(methods) has $(known_methods)))
compare_methods := plain1 plain2 plain3 $(or $(METHODS),$(known_methods))
compare_rounds  := $(addprefix iter1-,$(compare_methods)) $(if $(truth),$(addprefix iter1-true-,$(compare_methods)))
compare_steps   := $(or $(patsubst compare-steps=%,%,$(filter compare-steps=%,$(pipeline_keys))),400)
teacher          = $(compare_folder)/iter0-ivector/embeddings.tar.zst
true_digest     := $(compare_folder)/.truth.digest
# compare_rule FOLDER,LABELS,ROUND
teaches          = $(findstring teacher,$(filter objectives=%,$(call round_keys,finetune,$(3))))
compare_rule     = $(call stage_rule,$(1)/model.safetensors,finetune,$(3),\
  $(call digest,$(WORK)/audio/utts.tsv) $(if $(filter $(truth),$(2)),$(true_digest),$(call digest,$(2))) $(if $(teaches),$(call digest,$(teacher))),\
  --audio $(WORK)/audio --labels $(2) --steps $(compare_steps) $(if $(teaches),--teacher $(teacher)) \
  --out $(1)/model.safetensors)
compare_labels   = $(if $(findstring -true-,$(1)),$(truth),$(if $(filter iter1-ivector,$(1)),$(compare_folder)/iter0-ivector,$(WORK)/iter0)/labels.tar.zst)
compare_before   = $(if $(filter iter1-ivector,$(1)),$(compare_folder)/iter0-ivector,$(WORK)/iter0)
compare_round    = $(call round_rules,$(compare_folder)/$(1),$(compare_before),$(1),\
  $(call compare_rule,$(compare_folder)/$(1),$(compare_labels),$(1)))
ifneq ($(filter compare,$(goals)),)
  $(if $(truth),$(eval $(call digest_rule,$(call made,$(truth)),$(true_digest))))
  $(eval $(call round_rules,$(compare_folder)/iter0-ivector,,iter0-ivector,\
    $(call ivector_rule,$(compare_folder)/iter0-ivector,,iter0-ivector)))
  $(foreach round,$(compare_rounds) iter1-ivector,$(eval $(call compare_round,$(round))))
endif
compare_of = iter1-$(1)plain* $(addprefix iter1-$(1),$(filter-out plain%,$(compare_methods)))
compare_table = $(subst $() ,$(comma),$(strip iter0 iter0-ivector iter1-ivector $(call compare_of) $(if $(truth),$(call compare_of,true-))))
comma := ,
compare: iter0 iter0-ivector iter1-ivector $(compare_rounds)
	@ln -sfn ../iter0 $(compare_folder)/iter0
	$(Q)$(BIN)/voxloop-report --work $(compare_folder) --quiet --out $(compare_folder)/report.html $(addprefix --truth ,$(truth)) \
	  --table '$(compare_table)'

# ---- the plan: what the whole would take, before anybody pays for it -----------------------------------------

prepared   := $(wildcard $(WORK)/audio/utts.tsv)
plan_utts   = $(or $(UTTS),$(if $(prepared),$(shell tail -n +2 $(prepared) | wc -l)))
plan_hours  = $(or $(HOURS),$(if $(prepared),$(shell awk 'NR > 1 { n += $$3 } END { printf "%.3f", n / 16000 / 3600 }' $(prepared))))
plan_stage  = $(Q)$(BIN)/voxloop-$(1) --plan $(plan_utts) $(2) --out - $(call common_options,$(1))
# Shards of 16-bit audio take about 0.8 of its size.
plan_disk   = $(shell awk 'BEGIN { printf "%.1f", $(plan_hours) * 3600 * 32000 * 0.8 / 2^30 }')

plan: | $(built)
	$(if $(and $(plan_utts),$(plan_hours)),,$(error plan needs UTTS=number HOURS=number, or a WORK whose audio is prepared))
	@echo "plan: $(plan_utts) utterances, $(plan_hours) hours; prepared audio takes about $(plan_disk) GiB of disk"
	@echo "--- once"
	$(call plan_stage,pretrain,--audio -)
	@echo "--- in each round: training (not in round 0), extraction (less than an epoch of training), clusters"
	$(call plan_stage,finetune,--audio - --labels - $(if $(WAVLM),--init $(WAVLM)) $(addprefix --plan-classes ,$(plan_classes)))
	$(call plan_stage,cluster,--embeddings - --report -)
	@echo "--- the commands: make -n iter3 with the same variables"
plan_classes = $(filter-out auto,$(patsubst clusters=%,%,$(filter clusters=%,$(call keys,cluster))))

report: | $(round_goals) $(built)
	$(Q)$(BIN)/voxloop-report --work $(WORK) --out $(WORK)/report.html $(addprefix --truth ,$(truth))

clean:
	rm -rf $(addprefix $(WORK)/,audio test demo report.html .lock) $(wildcard $(WORK)/iter[0-9]* $(WORK)/ablation $(WORK)/compare $(WORK)/warmup $(WORK)/wavlm.safetensors*)
	@rmdir --ignore-fail-on-non-empty $(WORK)
