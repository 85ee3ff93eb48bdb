-- Plug-in of Slurm (JobSubmitPlugins=lua): each job asks for the heat of its nodes as licences.
-- A job that names coolkw itself keeps its figure. KW_PER_NODE is the power of a busy node above
-- idle, in kW; measure it. Copy the file to the folder of slurm.conf.
local KW_PER_NODE = 1

function slurm_job_submit(job_desc, part_list, submit_uid)
    local licenses = job_desc.licenses or ""
    if string.find(licenses, "coolkw") then
        return slurm.SUCCESS
    end
    local nodes = job_desc.min_nodes
    if nodes == nil or nodes == slurm.NO_VAL or nodes < 1 then
        nodes = 1
    end
    local heat = "coolkw:" .. tostring(nodes * KW_PER_NODE)
    job_desc.licenses = licenses == "" and heat or licenses .. "," .. heat
    return slurm.SUCCESS
end

function slurm_job_modify(job_desc, job_rec, part_list, modify_uid)
    return slurm.SUCCESS
end

return slurm.SUCCESS
