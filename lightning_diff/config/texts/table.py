"""What people type who know kohya's scripts, diffusers' examples, SimpleTuner or A1111, and the keys that stand for it here.

Each entry: the words, the keys in order of likelihood, a note. An entry counts for a command that knows one of its keys; an
entry without keys counts for every command. A word may stand in several entries: the first that counts is taken.
"""

from __future__ import annotations

EPOCHS = "steps = epochs x pictures / training.batch"
RESUME = "the same command continues the same run; init_from= starts another run from given weights"
CAPTIONS = "a caption is KEY.txt beside KEY.jpg, or its row in metadata.csv: docs/data.md"
PRECISION = "bf16-mixed or 32-true; there is no fp16"
OPTIMIZER = "the optimizer is AdamW or Muon (training.optimizer)"

WORDS = (
    # training
    ("lr learningrate max_lr base_lr peak_lr unet_lr text_encoder_lr lr_rate initial_lr", "training.learning_rate", ""),
    ("lr_warmup lr_warmup_steps warmup_steps num_warmup_steps warmup_iters", "training.warmup", ""),
    ("lr_scheduler lr_schedule lr_decay", "training.schedule training.learning_rate", ""),
    ("epochs epoch num_epochs max_epochs n_epochs num_train_epochs max_train_epochs", "training.steps", EPOCHS),
    ("steps max_steps iterations iters niter num_iterations max_iterations max_train_steps train_steps num_train_steps "
     "total_steps num_steps n_steps", "training.steps sampler.steps", ""),
    ("batch_size bs batchsize train_batch_size global_batch_size per_device_train_batch_size per_gpu_batch_size",
     "training.batch evaluation.batch", ""),
    ("eval_batch_size val_batch_size sample_batch_size", "evaluation.batch", ""),
    ("gradient_accumulation_steps accumulate_grad_batches grad_accum", "training.batch",
     "it is the batch of a step over all ranks; training.checkpointing=true saves memory"),
    ("optim optimizer_type", "training.optimizer", ""),
    ("optimizer_args use_8bit_adam adam_beta1 adam_beta2 adam_epsilon betas",
     "training.learning_rate training.weight_decay", OPTIMIZER),
    ("muon_lr lr_muon matrix_lr", "training.muon_rate", ""),
    ("wd adam_weight_decay", "training.weight_decay", ""),
    ("max_grad_norm grad_clip clip_grad gradient_clip gradient_clip_val clip_grad_norm", "training.clip", ""),
    ("ema_decay use_ema ema_rate ema_beta", "training.ema", ""),
    ("fp16 bf16 half amp mixed_precision full_fp16 full_bf16 weight_dtype dtype no_half", "training.precision", PRECISION),
    ("fp16 bf16 half amp dtype no_half mixed_precision", "sampler.precision", "auto, bf16 or float32"),
    ("gpus gpu num_gpus n_gpu n_gpus ngpus num_processes nproc_per_node world_size ranks", "training.devices", ""),
    ("num_nodes nnodes num_machines", "training.nodes", ""),
    ("device cuda use_cuda use_gpu", "training.accelerator", ""),
    ("num_workers dataloader_num_workers max_data_loader_n_workers n_workers num_cpu", "training.workers", ""),
    ("fsdp ddp deepspeed distributed parallel sharding", "training.strategy", ""),
    ("gradient_checkpointing activation_checkpointing grad_checkpointing use_checkpoint", "training.checkpointing", ""),
    ("torch_compile use_compile", "training.compile", ""),
    ("xformers use_xformers enable_xformers_memory_efficient_attention flash_attention sdpa", "",
     "torch's fused attention is always used"),
    ("rank lora_rank network_dim lora_dim use_lora network_module", "training.lora", "it is the rank"),
    ("lora_alpha network_alpha", "training.lora", "it is the rank; alpha equals it"),
    ("save_every save_steps save_interval save_freq save_every_n_steps save_every_n_epochs checkpointing_steps ckpt_every "
     "checkpoint_interval every_n_train_steps", "training.checkpoint_every", ""),
    ("logging_steps log_interval log_freq log_every_n_steps log_steps", "training.log_every", ""),
    ("resume resume_from resume_from_checkpoint auto_resume resume_training continue save_state", "", RESUME),
    ("pretrained pretrained_model pretrained_model_name_or_path pretrained_model_path ckpt checkpoint ckpt_path init "
     "init_weights finetune_from resume_ckpt", "init_from", ""),
    # objective
    ("snr_gamma min_snr_gamma", "objective.weight_value", "with objective.weight=min_snr"),
    ("loss loss_type loss_weight loss_weighting weighting_scheme", "objective.weight", ""),
    ("noise_offset", "objective.offset_noise", ""),
    ("prediction_type parameterization parametrization v_parameterization v_pred v_prediction target model_mean_type",
     "objective.prediction", ""),
    ("beta_schedule noise_schedule zero_terminal_snr zero_snr rescale_betas_zero_snr", "objective.schedule",
     "linear_zero and scaled_linear_zero end in pure noise"),
    ("timestep_sampling timestep_sampling_mode timesteps_sampling time_sampling", "objective.times", ""),
    ("discrete_flow_shift flow_shift time_shift timestep_shift flow_schedule_shift", "objective.shift sampler.shift", ""),
    ("caption_dropout_rate caption_dropout_probability cond_drop_prob uncond_prob p_uncond unconditional_prob cfg_dropout "
     "conditioning_dropout_prob proportion_empty_prompts", "objective.caption_dropout", ""),
    # the nets
    ("model unet backbone denoiser dit transformer arch architecture network model_type", "net", ""),
    ("channels model_channels block_out_channels ch hidden_size dim base_channels", "net.widths", ""),
    ("num_res_blocks layers_per_block num_blocks", "net.blocks", ""),
    ("attention_resolutions attn_resolutions", "net.attention", ""),
    ("num_heads attention_head_dim num_attention_heads", "net.heads net.head_width", ""),
    ("vae first_stage pretrained_vae vae_path vae_model", "autoencoder autoencoder.weights", ""),
    ("text_encoder clip clip_model tokenizer t5 cond_stage text_model", "text text.weights", ""),
    ("clip_skip", "text.layer", "1 is the last layer, as A1111's Clip skip counts"),
    ("max_token_length model_max_length tokenizer_max_length max_length", "text.context_length", ""),
    # the pictures
    ("dataset dataset_name", "data data.source", ""),
    ("train_data_dir data_dir image_dir img_dir images dataset_path dataset_dir data_root dataroot train_dir "
     "data_path root folder input_dir instance_data_dir datapath input", "source data.source", "with data=folder or data=shards"),
    ("size resolution image_size img_size imgsize res width height image_width pixels", "data.image_size", ""),
    ("size resolution image_size img_size width height", "", "a run draws pictures of the size that it was trained with"),
    ("caption_column image_column caption_extension caption_ext caption_key text_column caption_type", "data.captions", CAPTIONS),
    ("center_crop random_crop crop resize pad padding letterbox keep_aspect_ratio resize_mode", "data.fit",
     "crop keeps the centre square, pad the whole picture"),
    ("hflip random_flip flip_aug color_aug augment", "data", "pictures are neither flipped nor changed in colour"),
    ("val validation val_split validation_split test_split test_size holdout eval_dataset val_size valid", "data.test", ""),
    ("cache_latents cache_dir cache_latents_to_disk cache_path vae_cache", "cache", "latents are always cached, in this folder"),
    # guidance and sampling
    ("cfg_scales scale_list guidance_scale_list", "guidance.scales", ""),
    ("scale cfg cfg_scale w guidance_scale unconditional_guidance_scale guidance_weight cfg_weight guidance_strength omega",
     "guidance.scale guidance.scales", "scales are those of the sweep"),
    ("negative negative_prompt neg_prompt uncond_prompt n_prompt negprompt", "",
     "sample.py negative=TEXT takes the place of the empty caption; training reads text.null"),
    ("pag pag_scale perturbed_attention sag sag_scale slg", "guidance", "pag, sag and slg are not here; guidance=auto is near"),
    ("cfg_rescale guidance_rescale", "guidance.rescale", ""),
    ("cfg_interval guidance_interval cfg_start cfg_end guidance_start guidance_end",
     "guidance.interval", "its limits are sigma / alpha"),
    ("thresholding dynamic_thresholding dynamic_threshold", "guidance.threshold", ""),
    ("sampler_steps num_inference_steps inference_steps sampling_steps sample_steps ddim_steps num_sampling_steps",
     "sampler.steps", ""),
    ("scheduler sampler_name sampling_method sample_method solver noise_scheduler", "sampler", ""),
    ("karras use_karras_sigmas timestep_spacing sigmas", "sampler.grid", ""),
    ("ddim_eta churn s_churn", "sampler.eta", "with sampler=ddim"),
    ("random_seed manual_seed noise_seed generator rng", "seed", ""),
    ("ckpt checkpoint ckpt_path model model_path weights lora name load pretrained_model_name_or_path", "run", ""),
    ("caption captions text p", "prompt", ""),
    ("prompt_file prompts_file from_file prompt_path file sample_prompts", "prompts", ""),
    ("n num num_images n_samples num_samples num_images_per_prompt batch_count n_iter samples images_per_prompt", "count", ""),
    # measuring, results, trackers
    ("num_samples n_samples num_fid_samples fid_samples num_validation_images num_images", "evaluation.samples", ""),
    ("eval evaluate do_eval", "evaluation.enabled", ""),
    ("validate val_loss validation_loss", "validation.every", ""),
    ("eval_every eval_steps eval_interval validation_steps validation_epochs val_every val_check_interval sample_every "
     "sample_every_n_steps", "evaluation.every", ""),
    ("validation_prompt validation_prompts sample_prompts", "",
     "the sweep draws held-out captions; sample.py prompt= draws yours"),
    ("fid metric eval_metrics", "evaluation.metrics", ""),
    ("output_dir out_dir outdir output output_path save_dir save_path results results_dir logdir log_dir logging_dir "
     "workdir work_dir", "out outputs", ""),
    ("run_name exp_name output_name job_name experiment_name run_id", "name", ""),
    ("config exp preset recipe conf", "experiment", ""),
    ("wandb use_wandb wandb_mode report_to log_with logger loggers tensorboard tracker_name mlflow",
     "tracking tracking.also", ""),
    ("wandb_project project project_name tracker_project_name wandb_run_project", "tracking.project", ""),
    ("wandb_entity team", "tracking.entity", ""),
    ("wandb_group", "tracking.group", ""),
)  # fmt: skip

# Place -> what people type there -> the value that stands for it.
VALUES: dict[str, dict[str, str]] = {
    "data": {
        "imagefolder": "folder", "images": "folder", "dir": "folder", "huggingface": "folder", "hf": "folder",
        "webdataset": "shards", "wds": "shards", "img2dataset": "shards", "tar": "shards", "synthetic": "still_life",
        "mnist": "digits",
    },
    "net": {
        "unet": "small", "sd": "sd15", "stable_diffusion": "sd15", "sd1.5": "sd15", "sd_1_5": "sd15", "sd2": "sd21",
        "xl": "sdxl", "unet2dconditionmodel": "ldm",
    },
    "autoencoder": {"vae": "sd", "sd_vae": "sd", "kl": "ldm", "autoencoderkl": "ldm", "kl-f8": "sd"},
    "text": {"clip": "open_clip", "openclip": "open_clip", "transformers": "folder", "huggingface": "folder", "sd": "folder"},
    "objective": {
        "epsilon": "eps", "noise": "eps", "ddpm": "eps", "v_prediction": "v", "velocity": "flow", "v_pred": "v",
        "rectified_flow": "flow", "flow_matching": "flow", "rf": "flow", "sample": "x0", "sd": "stable_diffusion",
        "zero_snr": "v_zero", "karras": "edm",
    },
    "objective.prediction": {
        "epsilon": "eps", "noise": "eps", "v_prediction": "v", "v_pred": "v", "velocity": "flow", "sample": "x0",
    },
    "sampler": {
        "euler_a": "euler_ancestral", "euler a": "euler_ancestral", "k_euler": "euler", "k_euler_a": "euler_ancestral",
        "dpm++": "dpmpp_2m", "dpm++_2m": "dpmpp_2m", "dpmpp": "dpmpp_2m", "dpm_solver": "dpmpp_2m", "dpmsolver++": "dpmpp_2m",
        "dpm++_2m_sde": "dpmpp_2m_sde", "dpmpp_sde": "dpmpp_2m_sde", "dpm++ 2m": "dpmpp_2m", "ode": "euler", "edm": "heun_karras",
        "uni_pc": "unipc", "ancestral": "euler_ancestral", "rk2": "midpoint",
    },
    "guidance": {
        "autoguidance": "auto", "cfg++": "cfgpp", "cfgzero": "cfg_zero", "cfg_zero_star": "cfg_zero", "pag": "auto",
        "limited_interval": "interval", "classifier_free": "cfg", "projected": "apg",
    },
    "tracking": {"wandb": "online", "true": "online", "none": "disabled", "false": "disabled", "off": "disabled"},
    "evaluation": {"fid": "inception", "false": "none", "off": "none", "dino": "dinov2"},
    "evaluation/features": {"fid": "inception", "inceptionv3": "inception", "dino": "dinov2", "clip": "judge"},
    "training.precision": {
        "fp16": "bf16-mixed", "16": "bf16-mixed", "16-mixed": "bf16-mixed", "bf16": "bf16-mixed", "bfloat16": "bf16-mixed",
        "half": "bf16-mixed", "fp32": "32-true", "32": "32-true", "float32": "32-true", "no": "32-true", "full": "32-true",
    },
    "sampler.precision": {
        "fp16": "bf16", "bf16-mixed": "bf16", "half": "bf16", "fp32": "float32", "32": "float32", "full": "float32",
    },
    "training.accelerator": {"cuda": "gpu"},
    "training.strategy": {"deepspeed": "fsdp", "fsdp2": "fsdp", "zero": "fsdp", "dp": "ddp"},
    "task": {"vae": "autoencoder", "clip": "contrastive", "train": "diffusion", "classifier": "attributes"},
    "format": {"sd": "single_file", "ldm": "single_file", "safetensors": "single_file", "ckpt": "single_file", "hf": "diffusers"},
}  # fmt: skip
