// Made by src/types.rs of the plugin; `BLESS=1 cargo test` writes it anew.

import type * as types from "../types.js";

export const outputStream: Record<Extract<types.OutputStream, string>, true> = { stderr: true, stdout: true };

export const executionStatus: Record<Extract<types.ExecutionStatus, string>, true> = { cancelled: true, completed: true, failed: true, pending: true, running: true, timeout: true };

export const containmentLevel: Record<Extract<types.ContainmentLevel, string>, true> = { cgroup: true, process_group: true, process_tree: true };

export const resourceLimit: Record<Extract<types.ResourceLimit, string>, true> = { cpu_time: true, file_size: true, tree_memory: true };

export const signal: Record<Extract<types.Signal, string>, true> = { continue: true, cpu_limit: true, file_size_limit: true, hangup: true, interrupt: true, kill: true, quit: true, stop: true, terminate: true, user1: true, user2: true };

export const commandTags: Record<Extract<types.Command["type"], string>, true> = { aws_cli: true, exec: true, script: true, shell: true };

export const command: Required<types.Command>[] = [
  {
    "interpreter": "python3",
    "path": "a.py",
    "type": "script"
  },
  {
    "args": [
      "-l"
    ],
    "program": "ls",
    "type": "exec"
  },
  {
    "command": "ls",
    "shell": "/bin/sh",
    "type": "shell"
  },
  {
    "args": [],
    "operation": "list-buckets",
    "profile": "p",
    "region": "r",
    "service": "s3api",
    "type": "aws_cli"
  }
];

export const executionMetadata: Required<types.ExecutionMetadata>[] = [
  {
    "description": "d",
    "labels": {
      "a": "b"
    },
    "tags": [
      "t"
    ]
  }
];

export const limits: Required<types.Limits>[] = [
  {
    "address_space_bytes": 1,
    "core_bytes": 1,
    "cpu_seconds": 1,
    "file_size_bytes": 1,
    "nice": 1,
    "open_files": 1,
    "processes": 1,
    "tree_memory_bytes": 1,
    "tree_processes": 1,
    "umask": 63
  }
];

export const stdinSourceTags: Record<Extract<types.StdinSource["type"], string>, true> = { bytes: true, file: true, null: true, piped: true };

export const stdinSource: Required<types.StdinSource>[] = [
  {
    "type": "null"
  },
  {
    "data": "a",
    "type": "bytes"
  },
  {
    "data": [
      255,
      0
    ],
    "type": "bytes"
  },
  {
    "path": "/a",
    "type": "file"
  },
  {
    "type": "piped"
  }
];

export const jitter: Record<Extract<types.Jitter, string>, true> = { full: true, half: true, none: true };

export const retryOnTags: Record<Extract<types.RetryOn["type"], string>, true> = { any_exit_code: true, exit_code: true, signal: true, spawn_failure: true, timeout: true };

export const retryOn: Required<types.RetryOn>[] = [
  {
    "type": "any_exit_code"
  },
  {
    "code": 75,
    "type": "exit_code"
  },
  {
    "type": "signal"
  },
  {
    "type": "timeout"
  },
  {
    "type": "spawn_failure"
  }
];

export const retryPolicy: Required<types.RetryPolicy>[] = [
  {
    "attempts": 3,
    "initial_delay_ms": 1,
    "jitter": "half",
    "max_delay_ms": 1,
    "multiplier": 2,
    "retry_on": [
      {
        "type": "any_exit_code"
      },
      {
        "code": 75,
        "type": "exit_code"
      },
      {
        "type": "signal"
      },
      {
        "type": "timeout"
      },
      {
        "type": "spawn_failure"
      }
    ]
  }
];

export const executionOptions: Required<types.ExecutionOptions>[] = [
  {
    "final_signal": 40,
    "group": "g",
    "leftovers": "leave",
    "limits": {
      "address_space_bytes": 1,
      "core_bytes": 1,
      "cpu_seconds": 1,
      "file_size_bytes": 1,
      "nice": 1,
      "open_files": 1,
      "processes": 1,
      "tree_memory_bytes": 1,
      "tree_processes": 1,
      "umask": 63
    },
    "output": "merged",
    "partial_lines_after_ms": 100,
    "priority": 1,
    "retry": {
      "attempts": 3,
      "initial_delay_ms": 1,
      "jitter": "half",
      "max_delay_ms": 1,
      "multiplier": 2,
      "retry_on": [
        {
          "type": "any_exit_code"
        },
        {
          "code": 75,
          "type": "exit_code"
        },
        {
          "type": "signal"
        },
        {
          "type": "timeout"
        },
        {
          "type": "spawn_failure"
        }
      ]
    },
    "stdin": {
      "type": "piped"
    },
    "stop_grace_ms": 1,
    "stop_signal": "interrupt"
  }
];

export const launchRequest: Required<types.LaunchRequest>[] = [
  {
    "args": [
      "a"
    ],
    "command": {
      "interpreter": "python3",
      "path": "a.py",
      "type": "script"
    },
    "env": {
      "A": "b"
    },
    "id": "00000000-0000-0000-0000-000000000001",
    "metadata": {
      "description": "d",
      "labels": {
        "a": "b"
      },
      "tags": [
        "t"
      ]
    },
    "output_log_path": "/log",
    "rule": "r",
    "timeout_ms": 1,
    "working_dir": "/"
  }
];

export const planStep: Required<types.PlanStep>[] = [
  {
    "index": 1,
    "name": "build"
  }
];

export const skipReasonTags: Record<Extract<types.SkipReason["type"], string>, true> = { dependency_failed: true, engine_closed: true, input: true, plan_cancelled: true, plan_deadline: true, plan_stopped: true };

export const skipReason: Required<types.SkipReason>[] = [
  {
    "step": {
      "index": 1,
      "name": "build"
    },
    "type": "dependency_failed"
  },
  {
    "step": {
      "index": 1,
      "name": "build"
    },
    "type": "plan_stopped"
  },
  {
    "type": "plan_cancelled"
  },
  {
    "type": "plan_deadline"
  },
  {
    "type": "engine_closed"
  },
  {
    "from": {
      "index": 1,
      "name": "build"
    },
    "reason": "r",
    "type": "input"
  }
];

export const endingTags: Record<Extract<types.Ending["type"], string>, true> = { cancelled: true, engine_closed: true, engine_failed: true, exited: true, not_run: true, output_limit: true, output_lost: true, plan_deadline: true, resource_limit: true, signaled: true, spawn_failed: true, status_unknown: true, timed_out: true };

export const ending: Required<types.Ending>[] = [
  {
    "code": 3,
    "type": "exited"
  },
  {
    "core_dumped": false,
    "signal": 9,
    "type": "signaled"
  },
  {
    "timeout_ms": 5,
    "type": "timed_out"
  },
  {
    "type": "cancelled"
  },
  {
    "limit": 5,
    "stream": "stdout",
    "type": "output_limit"
  },
  {
    "reason": "disk full",
    "stream": "stderr",
    "type": "output_lost"
  },
  {
    "os_error": 8,
    "reason": "r",
    "type": "spawn_failed"
  },
  {
    "limit": "cpu_time",
    "type": "resource_limit"
  },
  {
    "type": "status_unknown"
  },
  {
    "deadline_ms": 5,
    "type": "plan_deadline"
  },
  {
    "reason": {
      "step": {
        "index": 1,
        "name": "build"
      },
      "type": "dependency_failed"
    },
    "type": "not_run"
  },
  {
    "type": "engine_closed"
  },
  {
    "reason": "r",
    "type": "engine_failed"
  }
];

export const streamStats: Required<types.StreamStats>[] = [
  {
    "kept_bytes": 1,
    "seen_bytes": 1
  }
];

export const treeUsage: Required<types.TreeUsage>[] = [
  {
    "peak_memory_bytes": null,
    "system_ms": 1,
    "user_ms": 1
  }
];

export const resourceUsage: Required<types.ResourceUsage>[] = [
  {
    "involuntary_switches": 1,
    "peak_memory_bytes": 1,
    "system_ms": 1,
    "tree": {
      "peak_memory_bytes": null,
      "system_ms": 1,
      "user_ms": 1
    },
    "user_ms": 1,
    "voluntary_switches": 1
  }
];

export const survivor: Required<types.Survivor>[] = [
  {
    "name": "sleep",
    "pid": 7,
    "reason": ""
  }
];

export const containmentReceipt: Required<types.ContainmentReceipt>[] = [
  {
    "left_running": [
      {
        "name": "sleep",
        "pid": 7,
        "reason": ""
      }
    ],
    "level": "cgroup",
    "proven": true,
    "signal": "terminate",
    "stopped": 1,
    "survivors": [
      {
        "name": "sleep",
        "pid": 7,
        "reason": ""
      }
    ],
    "took_ms": 1
  }
];

export const attempt: Required<types.Attempt>[] = [
  {
    "containment": {
      "left_running": [
        {
          "name": "sleep",
          "pid": 7,
          "reason": ""
        }
      ],
      "level": "cgroup",
      "proven": true,
      "signal": "terminate",
      "stopped": 1,
      "survivors": [
        {
          "name": "sleep",
          "pid": 7,
          "reason": ""
        }
      ],
      "took_ms": 1
    },
    "duration_ms": 1,
    "ending": {
      "code": 3,
      "type": "exited"
    },
    "number": 1,
    "started_at": "2026-01-02T03:04:05.006Z",
    "usage": {
      "involuntary_switches": 1,
      "peak_memory_bytes": 1,
      "system_ms": 1,
      "tree": {
        "peak_memory_bytes": null,
        "system_ms": 1,
        "user_ms": 1
      },
      "user_ms": 1,
      "voluntary_switches": 1
    }
  }
];

export const executionResult: Required<types.ExecutionResult>[] = [
  {
    "completed_at": "2026-01-02T03:04:05.006Z",
    "containment": {
      "left_running": [
        {
          "name": "sleep",
          "pid": 7,
          "reason": ""
        }
      ],
      "level": "cgroup",
      "proven": true,
      "signal": "terminate",
      "stopped": 1,
      "survivors": [
        {
          "name": "sleep",
          "pid": 7,
          "reason": ""
        }
      ],
      "took_ms": 1
    },
    "duration_ms": 1,
    "earlier_attempts": [
      {
        "containment": {
          "left_running": [
            {
              "name": "sleep",
              "pid": 7,
              "reason": ""
            }
          ],
          "level": "cgroup",
          "proven": true,
          "signal": "terminate",
          "stopped": 1,
          "survivors": [
            {
              "name": "sleep",
              "pid": 7,
              "reason": ""
            }
          ],
          "took_ms": 1
        },
        "duration_ms": 1,
        "ending": {
          "code": 3,
          "type": "exited"
        },
        "number": 1,
        "started_at": "2026-01-02T03:04:05.006Z",
        "usage": {
          "involuntary_switches": 1,
          "peak_memory_bytes": 1,
          "system_ms": 1,
          "tree": {
            "peak_memory_bytes": null,
            "system_ms": 1,
            "user_ms": 1
          },
          "user_ms": 1,
          "voluntary_switches": 1
        }
      }
    ],
    "ending": {
      "code": 3,
      "type": "exited"
    },
    "error": null,
    "exit_code": 3,
    "id": "00000000-0000-0000-0000-000000000001",
    "lines_missed": 0,
    "output_error": null,
    "signal": null,
    "started_at": "2026-01-02T03:04:05.006Z",
    "status": "failed",
    "stderr": "",
    "stderr_overflow_file": null,
    "stderr_stats": {
      "kept_bytes": 0,
      "seen_bytes": 0
    },
    "stdout": "a",
    "stdout_overflow_file": "/a",
    "stdout_stats": {
      "kept_bytes": 1,
      "seen_bytes": 1
    },
    "success": false,
    "usage": {
      "involuntary_switches": 1,
      "peak_memory_bytes": 1,
      "system_ms": 1,
      "tree": {
        "peak_memory_bytes": null,
        "system_ms": 1,
        "user_ms": 1
      },
      "user_ms": 1,
      "voluntary_switches": 1
    },
    "waited_ms": 0
  }
];

export const executionSummary: Required<types.ExecutionSummary>[] = [
  {
    "command": "ls",
    "duration_ms": 1,
    "ending": {
      "code": 3,
      "type": "exited"
    },
    "id": "00000000-0000-0000-0000-000000000001",
    "metadata": {
      "description": "d",
      "labels": {
        "a": "b"
      },
      "tags": [
        "t"
      ]
    },
    "started_at": "2026-01-02T03:04:05.006Z",
    "status": "failed"
  }
];

export const trim: Record<Extract<types.Trim, string>, true> = { line_endings: true, nothing: true, white_space: true };

export const failurePolicy: Record<Extract<types.FailurePolicy, string>, true> = { cancel_at_first_error: true, continue: true, finish_independent: true, stop_at_first_error: true };

export const executionStrategyTags: Record<Extract<types.ExecutionStrategy["type"], string>, true> = { dependency_graph: true, parallel: true, serial: true };

export const executionStrategy: Required<types.ExecutionStrategy>[] = [
  {
    "stop_on_error": true,
    "type": "serial"
  },
  {
    "max_concurrency": 2,
    "type": "parallel"
  },
  {
    "dependencies": {
      "1": [
        0
      ]
    },
    "type": "dependency_graph"
  }
];

export const stepInput: Required<types.StepInput>[] = [
  {
    "from": "build",
    "max_bytes": 1,
    "to": {
      "name": "A",
      "type": "env"
    },
    "trim": "nothing"
  },
  {
    "from": 0,
    "max_bytes": 1,
    "to": {
      "type": "stdin"
    },
    "trim": "white_space"
  }
];

export const stepOptions: Required<types.StepOptions>[] = [
  {
    "after": [
      0,
      "lint"
    ],
    "inputs": [
      {
        "from": 0,
        "to": {
          "type": "stdin"
        }
      }
    ],
    "name": "build",
    "options": {
      "final_signal": 40,
      "group": "g",
      "leftovers": "leave",
      "limits": {
        "address_space_bytes": 1,
        "core_bytes": 1,
        "cpu_seconds": 1,
        "file_size_bytes": 1,
        "nice": 1,
        "open_files": 1,
        "processes": 1,
        "tree_memory_bytes": 1,
        "tree_processes": 1,
        "umask": 63
      },
      "output": "merged",
      "partial_lines_after_ms": 100,
      "priority": 1,
      "retry": {
        "attempts": 3,
        "initial_delay_ms": 1,
        "jitter": "half",
        "max_delay_ms": 1,
        "multiplier": 2,
        "retry_on": [
          {
            "type": "any_exit_code"
          },
          {
            "code": 75,
            "type": "exit_code"
          },
          {
            "type": "signal"
          },
          {
            "type": "timeout"
          },
          {
            "type": "spawn_failure"
          }
        ]
      },
      "stdin": {
        "type": "piped"
      },
      "stop_grace_ms": 1,
      "stop_signal": "interrupt"
    }
  }
];

export const planOptions: Required<types.PlanOptions>[] = [
  {
    "deadline_ms": 1,
    "defaults": {
      "final_signal": 40,
      "group": "g",
      "leftovers": "leave",
      "limits": {
        "address_space_bytes": 1,
        "core_bytes": 1,
        "cpu_seconds": 1,
        "file_size_bytes": 1,
        "nice": 1,
        "open_files": 1,
        "processes": 1,
        "tree_memory_bytes": 1,
        "tree_processes": 1,
        "umask": 63
      },
      "output": "merged",
      "partial_lines_after_ms": 100,
      "priority": 1,
      "retry": {
        "attempts": 3,
        "initial_delay_ms": 1,
        "jitter": "half",
        "max_delay_ms": 1,
        "multiplier": 2,
        "retry_on": [
          {
            "type": "any_exit_code"
          },
          {
            "code": 75,
            "type": "exit_code"
          },
          {
            "type": "signal"
          },
          {
            "type": "timeout"
          },
          {
            "type": "spawn_failure"
          }
        ]
      },
      "stdin": {
        "type": "piped"
      },
      "stop_grace_ms": 1,
      "stop_signal": "interrupt"
    },
    "env": {
      "A": "b"
    },
    "failure_policy": "continue",
    "max_concurrency": 2,
    "steps": [
      {
        "after": [
          0,
          "lint"
        ],
        "inputs": [
          {
            "from": 0,
            "to": {
              "type": "stdin"
            }
          }
        ],
        "name": "build",
        "options": {
          "final_signal": 40,
          "group": "g",
          "leftovers": "leave",
          "limits": {
            "address_space_bytes": 1,
            "core_bytes": 1,
            "cpu_seconds": 1,
            "file_size_bytes": 1,
            "nice": 1,
            "open_files": 1,
            "processes": 1,
            "tree_memory_bytes": 1,
            "tree_processes": 1,
            "umask": 63
          },
          "output": "merged",
          "partial_lines_after_ms": 100,
          "priority": 1,
          "retry": {
            "attempts": 3,
            "initial_delay_ms": 1,
            "jitter": "half",
            "max_delay_ms": 1,
            "multiplier": 2,
            "retry_on": [
              {
                "type": "any_exit_code"
              },
              {
                "code": 75,
                "type": "exit_code"
              },
              {
                "type": "signal"
              },
              {
                "type": "timeout"
              },
              {
                "type": "spawn_failure"
              }
            ]
          },
          "stdin": {
            "type": "piped"
          },
          "stop_grace_ms": 1,
          "stop_signal": "interrupt"
        }
      }
    ],
    "working_dir": "/"
  }
];

export const planRequest: Required<types.PlanRequest>[] = [
  {
    "commands": [
      {
        "rule": "r"
      }
    ],
    "description": "d",
    "id": "00000000-0000-0000-0000-000000000001",
    "metadata": {
      "description": "d",
      "labels": {
        "a": "b"
      },
      "tags": [
        "t"
      ]
    },
    "strategy": {
      "max_concurrency": 2,
      "type": "parallel"
    }
  }
];

export const planEndingTags: Record<Extract<types.PlanEnding["type"], string>, true> = { cancelled: true, completed: true, deadline_reached: true, engine_closed: true, engine_failed: true, failed: true };

export const planEnding: Required<types.PlanEnding>[] = [
  {
    "type": "completed"
  },
  {
    "step": {
      "index": 1,
      "name": "build"
    },
    "type": "failed"
  },
  {
    "type": "cancelled"
  },
  {
    "deadline_ms": 1,
    "type": "deadline_reached"
  },
  {
    "type": "engine_closed"
  },
  {
    "reason": "r",
    "type": "engine_failed"
  }
];

export const planStats: Required<types.PlanStats>[] = [
  {
    "cancelled": 1,
    "completed": 1,
    "failed": 1,
    "not_run": 2,
    "timeout": 1,
    "total": 6
  }
];

export const planExecutionResult: Required<types.PlanExecutionResult>[] = [
  {
    "ending": {
      "type": "completed"
    },
    "plan_id": "00000000-0000-0000-0000-000000000001",
    "results": [
      {
        "completed_at": "2026-01-02T03:04:05.006Z",
        "containment": {
          "left_running": [
            {
              "name": "sleep",
              "pid": 7,
              "reason": ""
            }
          ],
          "level": "cgroup",
          "proven": true,
          "signal": "terminate",
          "stopped": 1,
          "survivors": [
            {
              "name": "sleep",
              "pid": 7,
              "reason": ""
            }
          ],
          "took_ms": 1
        },
        "duration_ms": 1,
        "earlier_attempts": [
          {
            "containment": {
              "left_running": [
                {
                  "name": "sleep",
                  "pid": 7,
                  "reason": ""
                }
              ],
              "level": "cgroup",
              "proven": true,
              "signal": "terminate",
              "stopped": 1,
              "survivors": [
                {
                  "name": "sleep",
                  "pid": 7,
                  "reason": ""
                }
              ],
              "took_ms": 1
            },
            "duration_ms": 1,
            "ending": {
              "code": 3,
              "type": "exited"
            },
            "number": 1,
            "started_at": "2026-01-02T03:04:05.006Z",
            "usage": {
              "involuntary_switches": 1,
              "peak_memory_bytes": 1,
              "system_ms": 1,
              "tree": {
                "peak_memory_bytes": null,
                "system_ms": 1,
                "user_ms": 1
              },
              "user_ms": 1,
              "voluntary_switches": 1
            }
          }
        ],
        "ending": {
          "code": 3,
          "type": "exited"
        },
        "error": null,
        "exit_code": 3,
        "id": "00000000-0000-0000-0000-000000000001",
        "lines_missed": 0,
        "output_error": null,
        "signal": null,
        "started_at": "2026-01-02T03:04:05.006Z",
        "status": "failed",
        "stderr": "",
        "stderr_overflow_file": null,
        "stderr_stats": {
          "kept_bytes": 0,
          "seen_bytes": 0
        },
        "stdout": "a",
        "stdout_overflow_file": "/a",
        "stdout_stats": {
          "kept_bytes": 1,
          "seen_bytes": 1
        },
        "success": false,
        "usage": {
          "involuntary_switches": 1,
          "peak_memory_bytes": 1,
          "system_ms": 1,
          "tree": {
            "peak_memory_bytes": null,
            "system_ms": 1,
            "user_ms": 1
          },
          "user_ms": 1,
          "voluntary_switches": 1
        },
        "waited_ms": 0
      }
    ],
    "started_at": "2026-01-02T03:04:05.006Z",
    "stats": {
      "cancelled": 1,
      "completed": 1,
      "failed": 1,
      "not_run": 2,
      "timeout": 1,
      "total": 6
    },
    "status": "completed",
    "total_duration_ms": 1
  }
];

export const planSummary: Required<types.PlanSummary>[] = [
  {
    "description": null,
    "duration_ms": 1,
    "ended": 1,
    "id": "00000000-0000-0000-0000-000000000001",
    "metadata": {
      "description": "d",
      "labels": {
        "a": "b"
      },
      "tags": [
        "t"
      ]
    },
    "started_at": "2026-01-02T03:04:05.006Z",
    "status": "running",
    "total": 2
  }
];

export const executionEventTags: Record<Extract<types.ExecutionEvent["type"], string>, true> = { cancelled: true, completed: true, executions_missed: true, failed: true, lines_missed: true, output_missed: true, plan_ended: true, progress: true, retrying: true, started: true, status_changed: true, stderr: true, stdout: true, timeout: true };

export const executionEvent: Required<types.ExecutionEvent>[] = [
  {
    "command": "ls",
    "execution_id": "00000000-0000-0000-0000-000000000001",
    "pid": 7,
    "type": "started"
  },
  {
    "execution_id": "00000000-0000-0000-0000-000000000001",
    "line": "a",
    "type": "stdout"
  },
  {
    "execution_id": "00000000-0000-0000-0000-000000000001",
    "line": "a",
    "type": "stderr"
  },
  {
    "execution_id": "00000000-0000-0000-0000-000000000001",
    "from": "pending",
    "to": "running",
    "type": "status_changed"
  },
  {
    "count": 1,
    "execution_id": "00000000-0000-0000-0000-000000000001",
    "type": "lines_missed"
  },
  {
    "bytes": 1,
    "execution_id": "00000000-0000-0000-0000-000000000001",
    "type": "output_missed"
  },
  {
    "count": 1,
    "type": "executions_missed"
  },
  {
    "attempt": 1,
    "delay_ms": 1,
    "ending": {
      "code": 3,
      "type": "exited"
    },
    "execution_id": "00000000-0000-0000-0000-000000000001",
    "type": "retrying"
  },
  {
    "completed": 1,
    "current_command": "ls",
    "execution_id": "00000000-0000-0000-0000-000000000001",
    "plan_id": "00000000-0000-0000-0000-000000000001",
    "status": "running",
    "step": {
      "index": 1,
      "name": "build"
    },
    "total": 2,
    "type": "progress"
  },
  {
    "duration_ms": 1,
    "plan_id": "00000000-0000-0000-0000-000000000001",
    "status": "completed",
    "type": "plan_ended"
  },
  {
    "duration_ms": 1,
    "execution_id": "00000000-0000-0000-0000-000000000001",
    "exit_code": 0,
    "success": true,
    "type": "completed"
  },
  {
    "duration_ms": 1,
    "error": "e",
    "execution_id": "00000000-0000-0000-0000-000000000001",
    "type": "failed"
  },
  {
    "duration_ms": 1,
    "execution_id": "00000000-0000-0000-0000-000000000001",
    "type": "cancelled"
  },
  {
    "duration_ms": 1,
    "execution_id": "00000000-0000-0000-0000-000000000001",
    "timeout_ms": 1,
    "type": "timeout"
  }
];

export const eventRecord: Required<types.EventRecord>[] = [
  {
    "containment": {
      "left_running": [
        {
          "name": "sleep",
          "pid": 7,
          "reason": ""
        }
      ],
      "level": "cgroup",
      "proven": true,
      "signal": "terminate",
      "stopped": 1,
      "survivors": [
        {
          "name": "sleep",
          "pid": 7,
          "reason": ""
        }
      ],
      "took_ms": 1
    },
    "event": {
      "command": "ls",
      "execution_id": "00000000-0000-0000-0000-000000000001",
      "pid": 7,
      "type": "started"
    },
    "execution_id": "00000000-0000-0000-0000-000000000001",
    "partial": false,
    "sequence": 1,
    "timestamp": "2026-01-02T03:04:05.006Z"
  }
];
